/** Every command when stdout or stderr cannot be written: the reader went away (`| head`), or the disk is full. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeMissing } from '../../../controller/cluster/roster/missing.ts';
import { NatsBus } from '../../../platform/bus/nats-bus.ts';
import { freePort } from '../../integration/free-port.ts';
import { Cluster, clusterTests } from '../cluster/harness/cluster.ts';
import { goldenFolder } from '../golden.ts';
import { withDeadline } from '../processes.ts';
import { type Exit, root, run, until } from '../server.ts';

const model = goldenFolder('mixtral');

/** How the command is called, with a place where a server can be asked for /health. */
interface Use {
  readonly parameters: () => readonly string[];
  /** For servers, which must go on. */
  readonly port?: () => number;
}

let cluster: Cluster | null = null;
const ports: number[] = [];
const nats = (): string => cluster?.nats.url ?? '';
const operated = (): readonly string[] => ['--server', cluster?.controllers[0]?.line.grpc ?? ''];
const needsNats: ReadonlySet<string> = new Set([
  'controller',
  'worker',
  'status',
  'plan',
  'scale',
  'drain',
  'events',
  'replicas',
  'cordon',
  'uncordon',
  'forget',
  'top',
]);

/** Commands that ask others than a cluster: the Hub, or an API server. */
const outside = ['pull', 'kubernetes'];

/** Workers to be forgotten, one in each use. */
const lostWorkers = ['g1', 'g2', 'g3'];

/** A use of each command that writes to stdout. */
const uses: Readonly<Record<string, Use>> = {
  inspect: { parameters: () => ['inspect', model] },
  synth: { parameters: () => ['synth', 'tiny', join(mkdtempSync(join(tmpdir(), 'conclave-output-')), 'tiny')] },
  serve: {
    parameters: () => ['serve', model, '--port', String(ports[0]), '--grpc-port', '0'],
    port: () => ports[0] ?? 0,
  },
  controller: {
    parameters: () => ['controller', model, '--nats', nats(), '--port', String(ports[1]), '--grpc-port', '0'],
    port: () => ports[1] ?? 0,
  },
  worker: {
    parameters: () => ['worker', model, '--nats', nats(), '--port', '0', '--metrics-port', String(ports[2])],
    port: () => ports[2] ?? 0,
  },
  status: { parameters: () => ['status', ...operated()] },
  plan: { parameters: () => ['plan', ...operated()] },
  scale: { parameters: () => ['scale', '--replicas', '1', ...operated()] },
  replicas: { parameters: () => ['replicas', ...operated()] },
  cordon: { parameters: () => ['cordon', 'w1', ...operated()] },
  uncordon: { parameters: () => ['uncordon', 'w1', ...operated()] },
  forget: { parameters: () => ['forget', lostWorkers.pop() ?? '', ...operated()] },
  drain: { parameters: () => ['drain', 'w1', '--cancel', ...operated()] },
  events: { parameters: () => ['events', '--follow', ...operated()] },
  top: { parameters: () => ['top', ...operated()] },
};

const lost = {
  'a closed pipe': { stdout: 'closed', stderr: 'read' },
  'closed pipes, both': { stdout: 'closed', stderr: 'closed' },
  'a full disk': { stdout: 'full', stderr: 'read' },
} as const;

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Exit>;
  readonly stderr: () => string;
}

function start(parameters: readonly string[], { stdout, stderr }: (typeof lost)[keyof typeof lost]): Started {
  const full = stdout === 'full' ? openSync('/dev/full', 'w') : null;
  const child = spawn(process.execPath, ['bin/conclave.js', ...parameters], {
    cwd: root,
    stdio: ['ignore', full ?? 'pipe', 'pipe'],
  });
  if (full !== null) closeSync(full);
  child.stdout?.destroy();
  let text = '';
  if (stderr === 'closed') child.stderr?.destroy();
  else child.stderr?.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const ended = withDeadline(closed, 60_000, parameters.join(' ')).finally(() => child.kill('SIGKILL'));
  return { child, ended: ended.then(([code, signal]) => ({ code, signal })), stderr: () => text };
}

beforeAll(async () => {
  if (!clusterTests.skip) {
    cluster = await Cluster.start({ model, workers: { w1: [] } });
    await loseWorkers(cluster.nats.url);
  }
  for (let i = 0; i < 3; i++) ports.push(await freePort());
});
afterAll(() => cluster?.stop());

/** Lists the workers as lost, as a leader does. */
async function loseWorkers(url: string): Promise<void> {
  const onError = (_what: string, error: unknown): void => expect.fail(String(error));
  const bus = await NatsBus.connect({ servers: [url], name: 'test', cluster: 'default', replicas: 1, onError });
  const workers = lostWorkers.map((workerId) => ({
    ...{ workerId, startedAtMs: 1, address: 'gone:1', node: 'gone', state: 'WORKER_STATE_LOST' as const },
    ...{ sinceMs: Date.now(), reason: 'nothing listens there' },
  }));
  await writeMissing(await bus.bucket('control'), workers, 0);
  await bus.close();
}

it('is tried with every command', async () => {
  const { stdout } = await run(['--help']);
  const commands = [...(stdout.split('\nCommands:\n')[1] ?? '').matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name);
  expect(new Set(commands)).toEqual(new Set(['help', ...Object.keys(uses), ...outside]));
});

/** Every use with every way in which output is lost; those without NATS say so. */
const cases = Object.entries(uses).flatMap(([name, use]) =>
  Object.entries(lost).map(([how, where]) => ({
    ...{ name, use, how, where, skip: needsNats.has(name) && clusterTests.skip },
    title: `${name}, ${how}${needsNats.has(name) ? clusterTests.suffix : ''}`,
  })),
);
const codes = { closed: 141, full: 1 } as const;

// One way for each command in turn: what help writes has nothing to do with how it is lost.
const ways = Object.keys(lost).length;
const ofHelp = cases.filter((_, index) => index % ways === Math.floor(index / ways) % ways);
it.each(ofHelp)('help of $name ends with a code that says so: $how', async ({ name, where }) => {
  const { ended, stderr } = start([name, '--help'], where);
  expect(await ended).toEqual({ code: codes[where.stdout], signal: null });
  expect(stderr()).toBe(where.stdout === 'full' ? expectedError : '');
});

describe('a command', () => {
  const commands = cases.filter(({ use }) => use.port === undefined);
  it.for(commands)('ends with a code that says so: $title', async ({ use, where, skip }, test) => {
    test.skip(skip);
    const { ended, stderr } = start(use.parameters(), where);
    expect(await ended).toEqual({ code: codes[where.stdout], signal: null });
    expect(stderr()).not.toMatch(/\n\s+at /);
    expect(stderr()).toContain(where.stdout === 'full' ? expectedError : '');
  });
});

describe('a server', () => {
  const servers = cases.filter(({ use }) => use.port !== undefined);
  it.for(servers)('serves on: $title', async ({ use, where, skip }, test) => {
    test.skip(skip);
    const { child, ended, stderr } = start(use.parameters(), where);
    const ready = (): Promise<number> =>
      fetch(`http://127.0.0.1:${use.port?.() ?? 0}/ready`).then(
        ({ status }) => status,
        () => 0,
      );
    await until(ready, (status) => status === 200, 60_000);
    child.kill('SIGTERM');
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(stderr()).not.toMatch(/\n\s+at /);
  });
});

const expectedError = 'conclave: the output cannot be written: ENOSPC: no space left on device, write\n';

it('keeps its exit code when the error cannot be written either', async () => {
  expect(await start(['inspect', '/does/not/exist'], lost['closed pipes, both']).ended).toEqual({
    code: 1,
    signal: null,
  });
});
