/** kubectl and helm of the test cluster, and whether there is one. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from '../../e2e/server.ts';

const run = promisify(execFile);
const state = process.env['KUBE_STATE'] ?? '/var/tmp/conclave-kubernetes';
const kubeconfig = join(state, 'kubeconfig');

/** Why the tests cannot run here; null: they can. */
const obstacle =
  process.env['KUBERNETES_OBSTACLE'] ?? (existsSync(kubeconfig) ? null : 'no cluster runs: npm run test:kubernetes');

export const kubernetesTests = { skip: obstacle !== null, suffix: obstacle === null ? '' : ` (skipped: ${obstacle})` };

/** Whether the cluster enforces NetworkPolicies. */
export const enforcesPolicies = existsSync(join(state, 'enforces-network-policies'));

export const chart = join(root, 'charts/conclave');

const environment = { ...process.env, KUBECONFIG: kubeconfig, PATH: `${join(state, 'bin')}:${process.env['PATH']}` };

/** What a program writes to stdout; fails with what it wrote to stderr. */
async function output(program: string, args: readonly string[], input?: string): Promise<string> {
  const child = run(program, args, { cwd: root, env: environment, maxBuffer: 2 ** 28 });
  child.child.stdin?.end(input);
  const { stdout } = await child;
  return stdout;
}

export const kubectl = (...args: readonly string[]): Promise<string> => output('kubectl', args);

export const helm = (...args: readonly string[]): Promise<string> => output('helm', args);

/** kubectl with something on its standard input, such as manifests for "apply -f -". */
export const kubectlWith = (input: string, ...args: readonly string[]): Promise<string> =>
  output('kubectl', args, input);

/** What `kubectl get` says, parsed. */
// oxlint-disable-next-line typescript/no-explicit-any -- the API server's documents
export async function get(...args: readonly string[]): Promise<any> {
  return JSON.parse(await kubectl('get', '-o', 'json', ...args));
}

/** Runs a command as a reader of the documentation would run it. */
export const shell = (command: string, extra: NodeJS.ProcessEnv = {}): Promise<string> =>
  run('bash', ['-ec', command], { cwd: root, env: { ...environment, ...extra } }).then(({ stdout }) => stdout);
