import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { statusJson } from '../../../../app/cli/operate/cluster-json.ts';
import { withControl } from '../../../../app/cli/operate/with-control.ts';
import { findNatsServer } from '../../../integration/nats-server.ts';
import { completeGolden, expectGolden } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { run, Server, until } from '../../server.ts';
import { clusterTests } from '../harness/cluster.ts';

const family = 'qwen3_moe';
const model = goldenFolder(family);
const goldens = readGoldens(family);
/** The program finds nats-server on PATH alone. */
const environment = { PATH: `${process.env['PATH']}:${dirname(findNatsServer() ?? '/nowhere/nats-server')}` };

interface WithWorkers {
  readonly workers: readonly { readonly id: string; readonly pid: number; readonly address: string }[];
}

function start(...flags: readonly string[]): Promise<Server> {
  return Server.start([model, '--weights', 'f32', '--worker-memory', '1GiB', ...flags], environment);
}

function status(server: Server) {
  const connection = { adminKey: null, timeout: 5_000, tls: false, tlsCa: null, tlsCert: null, tlsKey: null };
  return withControl({ ...connection, server: server.ready.grpc }, async (control) =>
    statusJson(await control.status()),
  );
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2] !== 'Z';
  } catch {
    return false;
  }
}

/** Processes whose parent, or whose parent's parent, is this one. */
function descendants(pid: number): readonly number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [[Number(name), Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))?.[1])] as const];
      } catch {
        return [];
      }
    });
  const children = parents.filter(([, parent]) => parent === pid).map(([child]) => child);
  return [...children, ...parents.filter(([, parent]) => children.includes(parent)).map(([child]) => child)];
}

describe.skipIf(clusterTests.skip)(`serve --workers${clusterTests.suffix}`, () => {
  it('starts workers and NATS, gives the results of one process, and ends them all', async () => {
    const server = await start(
      '--workers',
      '3',
      '--stage-workers',
      '1',
      '--expert-replicas',
      '2',
      '--rebalance',
      'off',
    );
    for (const golden of goldens) expectGolden(await completeGolden(server, [golden.prompt]), [golden]);
    const { workers, plan } = await status(server);
    expect(workers.map(({ id, roles }) => [id, roles])).toEqual([
      ['w1', ['stage']],
      ['w2', ['expert']],
      ['w3', ['expert']],
    ]);
    expect(plan.slots).toBe(2 * 8 * 3);
    const pids = descendants(server.ready.pid);
    expect(pids.length).toBeGreaterThanOrEqual(4);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    await until(
      () => pids.filter(alive),
      (left) => left.length === 0,
    );
  });

  it('starts a worker again that dies, under its id and at its address', async () => {
    await using server = await start('--workers', '2');
    const { workers } = server.ready as unknown as WithWorkers;
    const killed = workers.find(({ id }) => id === 'w2');
    if (killed === undefined) throw new Error('no worker w2');
    process.kill(killed.pid, 'SIGKILL');
    const after = await until(
      () => status(server),
      (now) => now.workers.some(({ id, pid, state }) => id === 'w2' && pid !== killed.pid && state === 'ready'),
    );
    expect(after.workers.find(({ id }) => id === 'w2')?.address).toBe(killed.address);
    expect(server.stderr).toContain('worker w2 died (SIGKILL); starting it again');
    for (const golden of goldens) expectGolden(await completeGolden(server, [golden.prompt]), [golden]);
  });

  it('leaves nothing behind when it is killed', async () => {
    const server = await start('--workers', '2');
    const pids = descendants(server.ready.pid);
    expect(pids.length).toBeGreaterThanOrEqual(3);
    await server.stop('SIGKILL');
    await until(
      () => pids.filter(alive),
      (left) => left.length === 0,
    );
  });

  it('says how to get nats-server where there is none', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'conclave-path-'));
    const { code, stderr } = await run(['serve', model, '--workers', '2', '--port', '0', '--grpc-port', '0'], {
      PATH: empty,
    });
    rmSync(empty, { recursive: true });
    expect(code).toBe(1);
    expect(stderr).toMatch(/nats-server is not on PATH[^]*--nats URL/);
  });

  it.each([
    { flags: ['--expert-replicas', '2'], message: '--expert-replicas: expected --workers N too' },
    { flags: ['--nats', 'nats://127.0.0.1:4222'], message: '--nats: expected --workers N too' },
    {
      flags: ['--workers', '2', '--stage-workers', '2'],
      message: '--stage-workers: expected fewer than the 2 workers',
    },
    { flags: ['--workers', '2', '--min-workers', '3'], message: '--min-workers: expected at most the 2 workers' },
    { flags: ['--workers', '0'], message: '--workers: expected a whole number from 1 to 256' },
  ])('refuses $flags', async ({ flags, message }) => {
    const { code, stderr } = await run(['serve', model, ...flags]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
