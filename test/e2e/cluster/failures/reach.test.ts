import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../../integration/free-port.ts';
import { root, until } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';

const model = join(root, 'models/clerk');
const expert = ['--roles', 'expert'];
/** Another address of this machine. */
const ELSEWHERE = '127.0.0.9';

interface WorkerReady {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly notices: readonly string[];
}

/** A listener at the other address that takes connections and never says a word: as good as a firewall that drops. */
async function silence(): Promise<{ readonly port: number; close(): void }> {
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, ELSEWHERE);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

describe.skipIf(clusterTests.skip)(`a worker that nobody reaches${clusterTests.suffix}`, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start({ model, workers: { s1: ['--roles', 'stage'], e1: expert, e5: expert } });
  });
  afterAll(() => cluster.stop());

  const readyOf = async (id: string): Promise<WorkerReady & { readonly status: number }> => {
    const { status, text } = await cluster.request(`${cluster.worker(id).line.metrics}/ready`);
    return { status, ...(JSON.parse(text) as WorkerReady) };
  };

  /** Starts a worker that is not reached for such a reason, and expects that everybody learns of it, and that it gets nothing. */
  const expectUnreached = async (id: string, flags: readonly string[], reason: RegExp): Promise<void> => {
    const before = await cluster.status();
    await cluster.startWorker(id, ['--roles', 'expert', ...flags]);
    const worker = (status: typeof before) => status.workers.find((each) => each.id === id);
    const status = await cluster.untilStatus((now) => worker(now)?.state === 'unreachable');
    expect(worker(status)).toMatchObject({ error: expect.stringMatching(reason), weightBytes: 0, slots: 0 });
    await cluster.untilStatus(({ events }) =>
      events.some(({ code, subject }) => code === 'WORKER_UNREACHABLE' && subject === `worker/${id}`),
    );
    const { reasons } = await until(
      () => readyOf(id),
      (now) => now.status === 503 && now.reasons.some((each) => reason.test(each)),
    );
    expect(reasons).toContainEqual(expect.stringContaining('the leader does not reach it at'));
    // Whatever is planned from now on goes without it.
    const others = status.workers.filter(({ state, roles }) => state === 'ready' && roles.includes('expert')).length;
    await expect(cluster.scale(others + 1)).rejects.toThrow(/need \d+ workers for experts/);
    await cluster.scale(others);
    await cluster.scale(1);
    const after = await cluster.status();
    expect(after.plan.epoch).toBeGreaterThan(before.plan.epoch);
    expect(worker(after)).toMatchObject({ state: 'unreachable', weightBytes: 0 });
    expect((await cluster.request(`${cluster.urls[0]}/ready`)).status).toBe(200);
  };

  it('is named where its advertised address refuses, and gets its part as soon as it is reached', async () => {
    await expectUnreached('e2', ['--advertise', ELSEWHERE], /connect ECONNREFUSED 127\.0\.0\.9:\d+/);
    await cluster.worker('e2').signal('SIGKILL');
    await cluster.startWorker('e2', ['--roles', 'expert']);
    await cluster.untilStatus(({ workers }) => workers.some(({ id, slots }) => id === 'e2' && slots > 0));
    await until(
      () => readyOf('e2'),
      ({ status }) => status === 200,
    );
    expect((await cluster.status()).workers.find(({ id }) => id === 'e2')).toMatchObject({
      state: 'ready',
      error: '',
      missingSince: null,
    });
  });

  it('is named where nothing comes back, after a deadline', async () => {
    const { port, close } = await silence();
    try {
      await expectUnreached('e3', ['--advertise', ELSEWHERE, '--port', String(port)], /no answer in time/);
    } finally {
      close();
    }
  });

  it('is named where another worker answers in its place', async () => {
    const port = String(await freePort(ELSEWHERE));
    await cluster.startWorker('other', ['--roles', 'expert', '--host', ELSEWHERE, '--port', port]);
    await cluster.untilStatus(({ workers }) => workers.some(({ id, slots }) => id === 'other' && slots > 0));
    await expectUnreached('e4', ['--advertise', ELSEWHERE, '--port', port], /worker other answers at 127\.0\.0\.9/);
  });
});

describe.skipIf(clusterTests.skip)(`a worker's readiness${clusterTests.suffix}`, () => {
  it('follows what the plan gives it: its part, or nothing as a spare', async () => {
    await using cluster = await Cluster.start({
      model,
      workers: { s1: ['--roles', 'stage'], e1: ['--roles', 'expert'] },
    });
    const ready = async (id: string): Promise<WorkerReady> =>
      JSON.parse((await cluster.request(`${cluster.worker(id).line.metrics}/ready`)).text) as WorkerReady;
    for (const id of ['s1', 'e1'])
      expect(
        await until(
          () => ready(id),
          (now) => now.ready,
        ),
      ).toMatchObject({ reasons: [] });
    await cluster.startWorker('s2', ['--roles', 'stage']);
    expect(await ready('s2')).toMatchObject({
      ready: false,
      reasons: [expect.stringMatching(/^no plan names it yet; it joined \d+ s ago$/)],
    });
    expect(
      await until(
        () => ready('s2'),
        (now) => now.ready,
      ),
    ).toMatchObject({
      reasons: [],
      notices: ['the plan gives it nothing: it is a spare'],
    });
    await cluster.worker('s1').signal('SIGKILL'); // The spare takes its place.
    await until(
      () => ready('s2'),
      ({ ready: now, notices }) => now && notices.length === 0,
    );
  });
});
