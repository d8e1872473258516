import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findNatsServer } from '../../../integration/nats-server.ts';
import { goldenFolder } from '../../golden.ts';
import { withDeadline } from '../../processes.ts';
import { root } from '../../server.ts';
import { clusterTests } from '../harness/cluster.ts';

/** The commands of a document's blocks of shell, in order: lines that go on are one, comments are left out. */
function commandsOf(document: string): readonly string[] {
  const text = readFileSync(join(root, document), 'utf8');
  return [...text.matchAll(/^( *)```sh\n([^]*?)^\1```$/gm)].flatMap(([, , block = '']) =>
    block
      .replaceAll(/ *\\\n */g, ' ')
      .split('\n')
      .map((line) => line.replace(/ +# .*$/, '').trim())
      .filter((line) => line !== ''),
  );
}

/** Commands that .ci/run runs itself, or that are about it. */
const ofCi = new Set(['npm ci && npm start', 'npm ci', 'npm test', 'npm run lint', 'npm run format', '.ci/run']);
/** Commands that the tests on Kubernetes run, as docs/kubernetes.md has them. */
const ofKubernetes = new Set([
  'npm run test:kubernetes',
  'docker build -t registry.example/conclave:0.1.0 .',
  'helm install conclave charts/conclave --set image.repository=registry.example/conclave',
]);

let folder = '';
let environment: NodeJS.ProcessEnv = {};
/** Commands that a test has run; what is left has none. */
const ran = new Set<string>();

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-docs-'));
  const programs = join(folder, 'bin');
  mkdirSync(programs);
  const program = (name: string, script: string): void => {
    writeFileSync(join(programs, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(programs, name), 0o755);
  };
  program('conclave', `exec "${process.execPath}" "${join(root, 'bin/conclave.js')}" "$@"`);
  program('npx', 'exec "$@"');
  for (const name of ['keys', 'admin-keys']) writeFileSync(join(folder, name), `${name}-1\n`);
  const path = `${programs}:${process.env['PATH']}:${dirname(findNatsServer() ?? '/nowhere/nats-server')}`;
  environment = { ...process.env, PATH: path };
});

const running: ChildProcess[] = [];
afterEach(async () => {
  for (const child of running.splice(0).reverse()) await stop(child);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await withDeadline(exited, 30_000, 'the end').catch(() => child.kill('SIGKILL'));
}

/** Addresses and folders of a document, as this machine has them. Nothing else of a command is changed. */
function here(command: string): string {
  return command
    .replaceAll('--host 0.0.0.0 --advertise 10.0.0.7', '--host 10.0.0.7 --advertise 10.0.0.7')
    .replaceAll('--host 0.0.0.0', '--host 10.0.0.2')
    .replaceAll(/\b10\.0\.0\.(\d)/g, '127.77.0.$1')
    .replaceAll('/models/qwen3-30b-a3b', goldenFolder('mixtral'))
    .replaceAll(
      '~/models/Qwen3-30B-A3B-Q4_K_M.gguf',
      join(root, 'test/fixtures/quantised/gguf_mixtral_q4_0/model.gguf'),
    )
    .replaceAll('~/models/Qwen3-30B-A3B', join(root, 'models/clerk'))
    .replaceAll('synth moe-1b7 /tmp/moe-1b7', `synth tiny ${join(folder, 'tiny')}`)
    .replaceAll('/var/lib/nats', join(folder, 'nats'))
    .replaceAll('48GiB', '1GiB');
}

/** Runs a command that ends; its output. */
function runs(command: string, extra: NodeJS.ProcessEnv = {}, change = (text: string): string => text): string {
  ran.add(command);
  const env = { ...environment, ...extra };
  return execFileSync('sh', ['-c', change(here(command))], { cwd: folder, env, encoding: 'utf8', stdio: 'pipe' });
}

/** Runs a command that serves, until it says so; what it said. It is stopped after the test. */
async function serves(command: string, says: RegExp, extra: NodeJS.ProcessEnv = {}): Promise<string> {
  ran.add(command);
  const child = spawn('sh', ['-c', `exec ${here(command)}`], { cwd: folder, env: { ...environment, ...extra } });
  running.push(child);
  let output = '';
  const said = new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (says.test(output)) resolve();
      });
    }
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
  });
  await withDeadline(said, 90_000, command).catch((error: unknown) => {
    throw new Error(`${command}: ${String(error)}\n${output}`);
  });
  return output;
}

/** The command of a document that begins so. */
function find(document: string, start: string, nth = 0): string {
  const found = commandsOf(document).filter((command) => command.startsWith(start))[nth];
  if (found === undefined) throw new Error(`${document} has no command ${nth + 1} that begins with ${start}`);
  return found;
}

const freePorts = { CONCLAVE_PORT: '0', CONCLAVE_GRPC_PORT: '0' };
const linux = process.platform === 'linux';
const suffix = `${clusterTests.suffix}${linux ? '' : ' (skipped: 127.77.0.1 to 127.77.0.7 are addresses of Linux alone)'}`;

describe.skipIf(clusterTests.skip || !linux)(`the commands of the documentation${suffix}`, () => {
  it('of README.md: a model of one’s own, a question', async () => {
    expect(runs(find('README.md', 'npx conclave inspect'))).toContain('clerk');
    expect(runs(find('README.md', 'npx conclave synth'))).toContain('tiny');
    const output = await serves(find('README.md', 'npx conclave serve', 0), /Try it/, freePorts);
    const url = /OpenAI API {2}(\S+)\/v1/.exec(output)?.[1] ?? '';
    const answer = runs(find('README.md', 'curl'), {}, (text) => text.replace('http://127.0.0.1:8000', url));
    expect(answer).toContain('974 + 662 = 1636');
    expect(await serves(find('README.md', 'npx conclave serve', 1), /OpenAI API/, freePorts)).toContain('q4 weights');
  });

  it('of README.md and docs/cluster.md: worker processes', async () => {
    const command = find('README.md', 'npx conclave serve --workers');
    expect(find('docs/cluster.md', 'npx conclave serve --workers')).toBe(command);
    const output = await serves(command, /Look at it/, freePorts);
    const server = /gRPC +(\S+)/.exec(output)?.[1] ?? '';
    expect(runs(find('README.md', 'npx conclave status'), { CONCLAVE_SERVER: server })).toMatch(/^w3 +ready/m);
    expect(runs(find('README.md', 'npx conclave top'), { CONCLAVE_SERVER: server })).toMatch(/\bw3\b/);
  });

  it('of docs/cluster.md: several machines', async () => {
    await serves(find('docs/cluster.md', 'nats-server'), /Server is ready/);
    await serves(find('docs/cluster.md', 'conclave controller'), /OpenAI API/);
    const worker = await serves(find('docs/cluster.md', 'conclave worker'), /worker w7 of cluster/);
    expect(worker).toContain('127.77.0.7:8002');
  });

  it('of docs/cluster.md: certificates, and a cluster that uses them', async () => {
    const made = commandsOf('docs/cluster.md').filter((command) => /^(openssl|echo)/.test(command));
    for (const command of made) runs(command);
    // The same for the other machines.
    for (const [id, host] of [
      ['n1', '10.0.0.1'],
      ['c2', '10.0.0.2'],
    ] as const) {
      for (const command of made.slice(1)) {
        execFileSync('sh', ['-c', here(command.replaceAll('w7', id).replaceAll('10.0.0.7', host))], {
          ...{ cwd: folder, stdio: 'pipe' },
        });
      }
    }
    rmSync(join(folder, 'nats'), { recursive: true, force: true });
    await serves(find('docs/cluster.md', 'nats-server', 1), /Server is ready/);
    await serves(find('docs/cluster.md', 'conclave controller', 1), /OpenAI API/);
    await serves(find('docs/cluster.md', 'conclave worker', 1), /worker w7 of cluster/);
    expect(runs(find('docs/cluster.md', 'CONCLAVE_ADMIN_KEY='))).toMatch(/^w7 /m);
  });

  it('are all run here or by .ci/run', () => {
    const all = ['README.md', 'CONTRIBUTING.md', 'docs/cluster.md', 'docs/api.md'].flatMap(commandsOf);
    const elsewhere = (command: string): boolean => ofCi.has(command) || ofKubernetes.has(command);
    expect(all.filter((command) => !ran.has(command) && !elsewhere(command))).toEqual([]);
    const ci = readFileSync(join(root, '.ci/run'), 'utf8');
    for (const part of [
      'npm ci',
      'npm start',
      'npm test',
      'npm run -s lint',
      'npm run -s format:check',
      'npm run -s test:kubernetes',
    ]) {
      expect(ci).toContain(part);
    }
  });
});
