import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findNatsServer, NatsServer } from '../../../integration/nats-server.ts';
import { goldenFolder } from '../../golden.ts';
import { type Finished, run, Server, until } from '../../server.ts';
import { Child } from '../harness/child.ts';
import { clusterTests } from '../harness/cluster.ts';

/** Every secret holds it, so that one look finds any of them. */
const marker = 'swordfish';
const secrets = {
  ...{ apiKey: `api,${marker}-1`, otherKey: `other-${marker}-2`, adminKey: `admin,${marker}-3` },
  ...{ password: `nats@${marker}-4`, clientKey: `guess-${marker}-5` },
};
const model = goldenFolder('mixtral');
/** The program finds nats-server on PATH alone. */
const environment = { PATH: `${process.env['PATH']}:${dirname(findNatsServer() ?? '/nowhere/nats-server')}` };

/** Command lines of a process and of all that it started, as every user of the machine can read them. */
function commandLines(pid: number): readonly string[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return [readFileSync(`/proc/${pid}/cmdline`, 'utf8'), ...children.flatMap((child) => commandLines(Number(child)))];
}

function expectNoSecret(...outputs: readonly string[]): void {
  for (const output of outputs) expect(output).not.toContain(marker);
}

function outputsOf({ stdout, stderr }: Finished): string {
  return stdout + stderr;
}

/** Answers of every route to right and wrong keys. */
async function askEverything(url: string): Promise<string> {
  const answers: string[] = [];
  for (const key of [secrets.apiKey, secrets.clientKey, `${secrets.clientKey} ${marker}`]) {
    for (const path of ['/health', '/ready', '/metrics', '/v1/models', `/v1/models/x?key=${marker}`, '/nothing']) {
      const response = await fetch(url + path, { headers: { authorization: `Bearer ${key}` } });
      answers.push(`${response.status} ${await response.text()}`);
    }
  }
  return answers.join('\n');
}

describe.skipIf(clusterTests.skip)(`secrets${clusterTests.suffix}`, () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'conclave-secrets-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('of serve --workers are in no output, log, metric or command line', async () => {
    const keyFile = join(folder, 'keys');
    writeFileSync(keyFile, `${secrets.otherKey}\r\n`);
    const flags = [
      ...[model, '--workers', '2', '--worker-memory', '1GiB', '--log-level', 'trace', '--api-key-file', keyFile],
      ...['--api-key', secrets.apiKey, `--admin-key=${secrets.adminKey}`],
    ];
    await using server = await Server.start(flags, environment);
    const status = (key: string): Promise<number> =>
      server.fetch('/v1/models', undefined, { headers: { authorization: `Bearer ${key}` } }).then((r) => r.status);
    expect(await status(secrets.apiKey)).toBe(200);
    expect(await status(secrets.otherKey)).toBe(200);
    // A comma does not make two keys of one.
    for (const part of secrets.apiKey.split(',')) expect(await status(part)).toBe(401);
    const answers = await askEverything(server.url);
    const operate = ['--server', server.ready.grpc];
    for (const command of [['status'], ['plan'], ['events'], ['status', '--output', 'json']]) {
      const right = await run([...command, ...operate], { CONCLAVE_ADMIN_KEY: secrets.adminKey });
      expect(right.code).toBe(0);
      const wrong = await run([...command, ...operate, '--admin-key', secrets.clientKey]);
      expect(wrong.code).toBe(1);
      expectNoSecret(outputsOf(right), outputsOf(wrong));
    }
    const lines = commandLines(server.ready.pid);
    expect(lines.length).toBeGreaterThanOrEqual(4);
    expect(lines[0]).toContain('serve');
    expectNoSecret(answers, JSON.stringify(server.ready), server.stderr, ...lines);
    const token = /CONCLAVE_NATS_TOKEN=([^\0]+)/.exec(environmentsOf(server.ready.pid))?.[1] ?? '';
    expect(token).toMatch(/.{20}/);
    for (const output of [server.stderr, answers, ...lines]) expect(output).not.toContain(token);
  });

  it('in NATS URLs let in, and are shown nowhere', async () => {
    const nats = await NatsServer.start(['--user', 'me', '--pass', secrets.password]);
    try {
      const url = nats.url.replace('//', `//me:${encodeURIComponent(secrets.password)}@`);
      const shared = ['--log-level', 'trace', '--weights', 'f32', '--port', '0', '--grpc-port', '0'];
      const controller = await Child.start<{ pid: number; grpc: string }>(
        ['controller', model, '--nats', url, '--admin-key', secrets.adminKey, ...shared],
        { CONCLAVE_API_KEY: secrets.apiKey },
      );
      const worker = await Child.start(['worker', model, '--port', '0', '--memory', '1GiB', '--log-level', 'trace'], {
        CONCLAVE_NATS: url,
      });
      const status = (): Promise<Finished> =>
        run(['status', '--server', controller.line.grpc], { CONCLAVE_ADMIN_KEY: secrets.adminKey });
      await until(status, ({ stdout }) => stdout.includes('complete'));
      // What the log says while NATS is away is seen too.
      await nats.signal('SIGTERM');
      await until(status, ({ stdout }) => stdout.includes('reconnecting'));
      expectNoSecret(outputsOf(await status()), JSON.stringify([controller.line, worker.line]));
      expectNoSecret(...commandLines(controller.pid), ...commandLines(worker.pid));
      await Promise.all([controller.signal('SIGKILL'), worker.signal('SIGKILL')]);
      expectNoSecret(controller.log, worker.log);
      expect(controller.log).toContain('NATS');

      await nats.restart();
      const wrong = await run(['worker', model, '--nats', url.replace('//me', '//you'), '--port', '0']);
      expect(wrong.code).not.toBe(0);
      expectNoSecret(outputsOf(wrong));
    } finally {
      await nats.stop();
    }
  });

  it.each([
    { what: 'help', flags: ['serve', '--help'] },
    { what: 'an unknown flag', flags: ['serve', `--api-keyy=${secrets.apiKey}`] },
    { what: 'an unknown flag with a space', flags: ['serve', '--nats-pasword', secrets.password] },
    { what: 'a key with a space', flags: ['serve', '--api-key', `a ${secrets.apiKey}`] },
    { what: 'a URL that is none', flags: ['controller', '--nats', `http://me:${secrets.password}@host`] },
    { what: 'a URL with a comma', flags: ['worker', '--nats', `nats://me:1,${secrets.password}@host`] },
    { what: 'a key that no metadata carries', flags: ['status', '--admin-key', `é${secrets.adminKey}`] },
    {
      what: 'several ways to log in',
      flags: ['worker', '--nats', 'nats://h', '--nats-user', 'me', '--nats-token', marker],
    },
    { what: 'an option that needs another', flags: ['serve', '--nats', `nats://me:${marker}@host`] },
  ])('are not shown by $what', async ({ flags }) => {
    const own = {
      ...{ CONCLAVE_API_KEY: secrets.apiKey, CONCLAVE_ADMIN_KEY: secrets.adminKey },
      ...{ CONCLAVE_NATS_PASSWORD: secrets.password, CONCLAVE_NATS_TOKEN: secrets.password },
    };
    const finished = await run(flags, flags.includes('--help') ? { ...own, CONCLAVE_NATS: `nats://${marker}@h` } : {});
    expect(finished.code).toBe(flags.includes('--help') ? 0 : 2);
    expectNoSecret(outputsOf(finished));
  });

  it('do not stay in a temporary folder after a kill', async () => {
    const parent = mkdtempSync(join(folder, 'tmp-'));
    const server = await Server.start([model, '--workers', '1', '--worker-memory', '1GiB'], {
      ...environment,
      TMPDIR: parent,
    });
    expect(readdirSync(parent)).toEqual([expect.stringMatching(/^conclave-nats-/)]);
    await server.stop('SIGKILL');
    await until(
      () => readdirSync(parent),
      (left) => left.length === 0,
    );
  });
});

/** Environments of the processes that a process started. */
function environmentsOf(pid: number): string {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return children.map((child) => readFileSync(`/proc/${child}/environ`, 'utf8')).join('\0');
}
