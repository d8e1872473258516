import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { completeGolden } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { root, run, until } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';

const family = 'mixtral';
const stage = ['--roles', 'stage'];
const expert = ['--roles', 'expert'];

describe.skipIf(clusterTests.skip)(`operators${clusterTests.suffix}`, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    const workers = { s1: stage, e1: expert, e2: expert };
    cluster = await Cluster.start({ model: goldenFolder(family), workers });
    await completeGolden(
      cluster,
      readGoldens(family).map(({ prompt }) => prompt),
    );
  });
  afterAll(() => cluster.stop());

  const text = async (...command: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run([...command, '--server', cluster.controllers[0]?.line.grpc ?? '']);
    expect([code, stderr]).toEqual([0, '']);
    return stdout;
  };

  it('see the state of a cluster, for people and for programs', async () => {
    const { pid } = cluster.worker('e1');
    const status = JSON.parse(await cluster.operate('status')) as Record<string, unknown>;
    expect(status).toMatchObject({
      model: family,
      plan: { epoch: 1, reason: 'first plan', pipelines: 1 },
      rollout: { phase: 'complete', epoch: 1, error: '' },
      leader: 'c1',
      bus: 'connected',
      failures: {},
    });
    // Documented in docs/cluster.md; tools read them by name.
    const { address } = cluster.worker('e1').line;
    expect(status['workers']).toContainEqual({
      ...{ id: 'e1', address, node: expect.any(String), pid, roles: ['expert'], state: 'ready' },
      ...{ slots: expect.any(Number), slotsWanted: expect.any(Number), error: '', missingSince: null },
      ...{ memoryBytes: 2 ** 30, weightBytes: expect.any(Number), device: 'cpu', gpu: null },
      ...{
        cordoned: false,
        startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        rowsPerSecond: expect.any(Number),
      },
      activity: expect.toBeOneOf([null, expect.objectContaining({ running: 0, kvCacheUsageRatio: null })]),
    });
    expect(status['events']).toContainEqual({
      ...{
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        code: 'PLAN_COMMITTED',
        severity: 'info',
        subject: 'plan/1',
      },
      ...{ message: 'plan 1 is in force: first plan', count: 1 },
    });
    const shown = await text('status');
    expect(shown).toMatch(/^rollout {2}complete$/m);
    expect(shown).toMatch(new RegExp(`^e1 +ready +\\d+ +.* expert .* ${pid} +${address}$`, 'm'));
  });

  it('see the plan with bytes per worker and the expected balance', async () => {
    await cluster.untilStatus(({ load }) => load.length > 0);
    const plan = await text('plan');
    expect(plan).toMatch(/^plan 1 of mixtral/);
    expect(plan).toMatch(/^e1 +\d[\d.]* [KMG]iB +\d+ +127\.0\.0\.1:\d+$/m);
    expect(plan).toMatch(/expected load, busiest worker over mean: \d\.\d\d in all/);
    const json = JSON.parse(await cluster.operate('plan')) as { readonly workers: readonly { weightBytes: number }[] };
    expect(json.workers.every(({ weightBytes }) => weightBytes > 0)).toBe(true);
  });

  it('follow what happens, drain a worker, and take it back', async () => {
    const server = cluster.controllers[0]?.line.grpc ?? '';
    const flags = ['events', '--follow', '--backlog', '0', '--server', server, '--output', 'json'];
    const child = spawn(process.execPath, ['bin/conclave.js', ...flags], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      out += piece;
    });
    const codes = (): readonly string[] =>
      out
        .split('\n')
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { readonly code: string }).code);
    try {
      // It says nothing until something happens: drains are repeated until it is there.
      await until(
        async () => {
          await cluster.operate('drain', 'e2', '--wait', '20s');
          expect((await cluster.status()).workers.find(({ id }) => id === 'e2')?.slots).toBe(0);
          await cluster.operate('drain', 'e2', '--cancel', '--wait', '20s');
          expect((await cluster.status()).workers.find(({ id }) => id === 'e2')?.slots).toBeGreaterThan(0);
          return codes();
        },
        (heard) => heard.includes('PLAN_PUBLISHED') && heard.includes('PLAN_COMMITTED'),
      );
      const exited = once(child, 'exit');
      child.kill('SIGINT');
      await exited;
    } finally {
      child.kill('SIGKILL');
    }
    const past = (await text('events', '--backlog', '2')).trim().split('\n');
    expect(past).toHaveLength(2);
    expect(past[1]).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d {2}PLAN_COMMITTED plan\/\d+: plan \d+ is in force/,
    );
  });

  it('watch a cluster, line by line where it is no terminal', async () => {
    const server = cluster.controllers[0]?.line.grpc ?? '';
    const watch = async (...flags: readonly string[]): Promise<readonly string[]> => {
      const child = spawn(process.execPath, ['bin/conclave.js', 'status', '--watch', ...flags, '--server', server], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const lines: string[] = [];
      try {
        for await (const line of createInterface({ input: child.stdout })) if (lines.push(line) === 3) break;
      } finally {
        child.kill('SIGKILL');
      }
      return lines;
    };
    const line = /^\d{4}-.* {2}plan \d+ complete, 3 of 3 workers ready, [\d.]+ tokens\/s, 0 running, 0 waiting$/;
    expect(await watch('500ms')).toEqual([1, 2, 3].map(() => expect.stringMatching(line)));
    const objects = (await watch('--output', 'json')).map((text) => JSON.parse(text) as { readonly at: string });
    expect(new Set(objects.map(({ at }) => at)).size).toBe(3);
  });

  it('see what was wrong with a command', async () => {
    const server = cluster.controllers[0]?.line.grpc ?? '';
    const wrong = async (...command: readonly string[]) => {
      const { code, stderr } = await run([...command, '--server', server]);
      return [code, stderr] as const;
    };
    expect(await wrong('scale', '--replicas', '0')).toEqual([2, expect.stringMatching(/--replicas/)]);
    expect(await wrong('scale', '--replicas', '1', '--layer', '0', '--expert', '99')).toEqual([
      2,
      expect.stringMatching(/expert: layer 0 has experts 0 to \d+, got 99/),
    ]);
    expect(await wrong('scale', '--replicas', '9')).toEqual([1, expect.stringMatching(/9 replicas .* need 9 workers/)]);
    expect(await wrong('drain', 'nobody')).toEqual([
      1,
      expect.stringMatching(/no worker "nobody"; there are: e1, e2, s1/),
    ]);
  });
});
