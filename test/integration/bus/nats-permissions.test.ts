import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as dial } from 'nats';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { NatsBus } from '../../../platform/bus/nats-bus.ts';
import { eventSubject, loadSubject, MEMBER_KEY, TARGET_PLAN } from '../../../platform/bus/subjects.ts';
import { packageRoot } from '../../../proto/package-root.ts';
import { findNatsServer, NatsServer, natsServerMissing } from '../nats-server.ts';
import { bytes, text } from './contract.ts';

const available = findNatsServer() !== null;
const cluster = 'default';

/** The configuration that docs/cluster.md gives. */
function documented(): string {
  const docs = readFileSync(join(packageRoot, 'docs/cluster.md'), 'utf8');
  const found = /```conf\n(authorization \{[^]*?)```/.exec(docs)?.[1];
  if (found === undefined) throw new Error('docs/cluster.md has no configuration of NATS users');
  return found.replace('$CONTROLLER_PASSWORD', 'c').replace('$WORKER_PASSWORD', 'w');
}

let folder = '';
let server: NatsServer;
const buses: NatsBus[] = [];
beforeAll(async () => {
  if (!available) return;
  folder = mkdtempSync(join(tmpdir(), 'conclave-permissions-'));
  const file = join(folder, 'nats.conf');
  writeFileSync(file, documented());
  server = await NatsServer.start(['-c', file]);
});
afterAll(async () => {
  await Promise.all(buses.map((bus) => bus.close()));
  if (!available) return;
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function connect(user: 'controller' | 'worker') {
  const errors: string[] = [];
  const onError = (what: string, error: unknown): void => void errors.push(`${what}: ${String(error)}`);
  const login = { user, password: user[0]! };
  const bus = await NatsBus.connect({ servers: [server.url], name: user, cluster, deadlineMs: 500, onError, ...login });
  buses.push(bus);
  return { bus, errors };
}

describe.skipIf(!available)(`the NATS user of workers${available ? '' : ` (${natsServerMissing})`}`, () => {
  it('may announce itself, report, and read what the controllers say', async () => {
    const { bus: controller } = await connect('controller');
    for (const name of ['workers', 'reports', 'plans'] as const) await controller.bucket(name);
    await (await controller.bucket('control')).put(MEMBER_KEY, bytes('secret'));
    const { bus, errors } = await connect('worker');
    const [control, workers, reports] = [
      await bus.bucket('control'),
      await bus.bucket('workers'),
      await bus.bucket('reports'),
    ];
    const seen: string[] = [];
    const stop = control.watch(({ key, value }) => seen.push(`${key} ${value === null ? '' : text(value)}`));
    await vi.waitFor(() => expect(seen).toEqual([`${MEMBER_KEY} secret`]), 10_000);
    expect((await control.get(MEMBER_KEY))?.revision).toBe(1);
    expect(await workers.put('w1', bytes('here'))).toBe(1);
    expect(await reports.update('w1', bytes('x'), (await reports.put('w1', bytes('y'))) ?? 0)).toBe(2);
    await workers.delete('w1');
    const heard: string[] = [];
    controller.subscribe(`conclave.v1.${cluster}.>`, (_, subject) => heard.push(subject));
    await vi.waitFor(() => {
      bus.publish(eventSubject(cluster), bytes('e'));
      bus.publish(loadSubject(cluster, 'w1'), bytes('l'));
      expect(new Set(heard)).toEqual(new Set([eventSubject(cluster), loadSubject(cluster, 'w1')]));
    }, 10_000);
    stop();
    expect(errors).toEqual([]);
  });

  it('may not make streams, which could write for it, nor take any away', async () => {
    const connection = await dial({ servers: server.url, user: 'worker', pass: 'w' });
    try {
      const republish = { src: 'conclave.v1.default.events', dest: '$KV.conclave-v1-default-control.constraints' };
      const calls = {
        CREATE: { name: 'mine', subjects: ['conclave.v1.default.events'], republish },
        DELETE: {},
        PURGE: {},
        UPDATE: { name: 'KV_conclave-v1-default-plans', subjects: ['x'] },
      };
      for (const [call, body] of Object.entries(calls)) {
        const stream = call === 'CREATE' ? 'mine' : 'KV_conclave-v1-default-plans';
        const asked = connection.request(`$JS.API.STREAM.${call}.${stream}`, JSON.stringify(body), { timeout: 2_000 });
        await expect(asked, call).rejects.toMatchObject({
          code: expect.stringMatching(/PERMISSIONS_VIOLATION|TIMEOUT/),
        });
      }
    } finally {
      await connection.close();
    }
  });

  it('may not write what operators ask for, what leaders plan, or the members secret', async () => {
    const { bus: controller } = await connect('controller');
    const { bus } = await connect('worker');
    for (const [name, key] of [
      ['control', 'constraints'],
      ['control', MEMBER_KEY],
      ['plans', TARGET_PLAN],
    ] as const) {
      const before = await (await controller.bucket(name)).get(key);
      const bucket = await bus.bucket(name);
      await expect(bucket.put(key, bytes('mine'))).rejects.toThrow();
      await expect(bucket.delete(key)).rejects.toThrow();
      expect(await (await controller.bucket(name)).get(key)).toEqual(before);
    }
  });
});
