import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { enforcesPolicies, get, kubectl, kubectlWith, kubernetesTests } from './harness/programs.ts';
import type { Release } from './harness/release.ts';
import { sharedRelease } from './harness/shared-release.ts';
import { until } from './harness/until.ts';

const run = promisify(execFile);
let release: Release;

describe.skipIf(kubernetesTests.skip)(`a release is closed${kubernetesTests.suffix}`, () => {
  beforeAll(async () => {
    release = await sharedRelease();
  });

  it('to clients without a certificate: workers, gRPC of controllers, NATS', async () => {
    const worker = (await get('-n', release.namespace, 'pod', `${release.name}-stage-0`)).status.podIP;
    const controller = (await release.pods('controller'))[0]?.status.podIP;
    const nats = (await release.pods('nats'))[0]?.status.podIP;
    for (const target of [`${worker}:8002`, `${controller}:8001`]) {
      expect(await handshake(target), target).toMatch(/alert (certificate required|bad certificate)/);
    }
    expect(await natsRefusal(nats ?? '')).toMatch(/certificate required|socket hang up|ECONNRESET|disconnected/);
  });

  it.skipIf(!enforcesPolicies)('to pods outside the policies', async () => {
    const ip = async (component: string) => (await release.pods(component))[0]?.status.podIP ?? '';
    const [worker, nats, controller] = await Promise.all(['worker', 'nats', 'controller'].map(ip));
    const labels = { 'app.kubernetes.io/name': 'conclave', 'app.kubernetes.io/instance': release.name };
    const member = { ...labels, 'app.kubernetes.io/component': 'controller' };
    const reached = await Promise.all([
      reaches('to-worker', `${worker}:8002`),
      reaches('to-nats', `${nats}:4222`),
      reaches('to-controller', `${controller}:8000`, {}, patient),
      reaches('member', `${worker}:8002`, member, patient),
    ]);
    // Everybody may ask the API; nobody else may talk to workers and NATS.
    expect(reached).toEqual([false, false, true, true]);
  });

  it('gives service accounts the least: workers nothing, controllers one namespace', async () => {
    const can = async (account: string, ...question: readonly string[]) => {
      const as = `--as=system:serviceaccount:${release.namespace}:${account}`;
      return kubectl('auth', 'can-i', '-n', release.namespace, as, ...question).catch(
        ({ stdout }: { readonly stdout: string }) => stdout,
      );
    };
    const rights = async (account: string) => {
      const lines = (await can(account, '--list', '--no-headers')).split('\n');
      return lines.filter(
        (line) => line !== '' && !/^(selfsubject|\s|\[)/.test(line) && !line.includes('authentication'),
      );
    };
    expect(await rights(`${release.name}-worker`)).toEqual([]);
    expect((await rights(release.name)).filter((line) => line.includes('*'))).toEqual([]);
    for (const verb of ['list', 'watch', 'create', 'delete']) {
      expect((await can(release.name, verb, 'secrets')).trim()).toBe('no');
    }
    for (const secret of ['api-keys', 'admin-keys', 'nats-auth', 'nats-worker', 'nats-routes']) {
      expect((await can(release.name, 'get', `secrets/${release.name}-${secret}`)).trim()).toBe('no');
    }
    expect((await can(release.name, 'get', 'pods', '-n', 'kube-system')).trim()).toBe('no');
  });

  it('and every pod is restricted: no root, no capability, a root file system that is read only', async () => {
    const { metadata } = await get('namespace', release.namespace);
    expect(metadata.labels['pod-security.kubernetes.io/enforce']).toBe('restricted');
    const { items } = await get('-n', release.namespace, 'pods');
    for (const { metadata: pod, spec } of items) {
      for (const { securityContext } of [...spec.containers, ...(spec.initContainers ?? [])]) {
        expect([pod.name, securityContext]).toEqual([
          pod.name,
          expect.objectContaining({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false }),
        ]);
      }
      const token = JSON.stringify(spec.volumes).includes('serviceAccountToken');
      expect([pod.name, token]).toEqual([pod.name, pod.labels['app.kubernetes.io/component'] === 'controller']);
    }
  });
});

/** What openssl says of a TLS handshake without a certificate. */
async function handshake(target: string): Promise<string> {
  const client = run('openssl', ['s_client', '-connect', target, '-alpn', 'h2'], { timeout: 60_000 });
  // TLS 1.3 refuses a client after the handshake, with its first bytes; the client ends when the connection does.
  client.child.stdin?.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const { stdout, stderr } = await client.catch((error: { readonly stdout: string; readonly stderr: string }) => error);
  return stdout + stderr;
}

/** Why NATS lets nobody in who has no certificate; it speaks first, in plaintext, and then wants TLS. */
async function natsRefusal(host: string): Promise<string> {
  const socket = connectSocket({ host, port: 4222 });
  const [info] = (await once(socket, 'data')) as [Buffer];
  const { tls_required: required, tls_verify: verify } = JSON.parse(info.toString().replace(/^INFO /, ''));
  expect({ required, verify }).toEqual({ required: true, verify: true });
  const secured = connect({ socket, rejectUnauthorized: false });
  secured.write('CONNECT {"verbose":true}\r\nPING\r\n');
  return new Promise((resolve, reject) => {
    secured.once('error', (error) => resolve(error.message));
    secured.once('data', (data) => reject(new Error(`NATS answered: ${data.toString()}`)));
    secured.once('close', () => resolve('disconnected'));
  });
}

/** Tries of a pod that should get a connection: what enforces policies hears of a new pod a moment after it runs. */
const patient = 40;

/** Whether a pod of this name, with these labels, gets a connection. */
async function reaches(name: string, target: string, labels: object = {}, tries = 4): Promise<boolean> {
  const [host, port] = target.split(':');
  const script = `
    const { connect } = require('node:net');
    const end = (word) => { console.log(word); process.exit(); };
    const attempt = (left) => {
      if (left === 0) end('closed');
      const socket = connect({ host: '${host}', port: ${port}, timeout: 2000 });
      const again = () => { socket.destroy(); setTimeout(attempt, 500, left - 1); };
      socket.once('connect', () => end('open')).once('error', again).once('timeout', again);
    };
    attempt(${tries});`;
  const security = { allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: { drop: ['ALL'] } };
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: release.namespace, labels },
    spec: {
      restartPolicy: 'Never',
      securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          ...{ name, image: 'localhost/conclave:test', command: ['node', '--eval', script] },
          securityContext: security,
        },
      ],
    },
  };
  await kubectlWith(JSON.stringify(pod), 'apply', '-f', '-');
  try {
    const said = await until(
      'a word of the pod',
      180_000,
      async () => (await release.kubectl('logs', name)).trim() || null,
    );
    return said === 'open';
  } finally {
    await release.kubectl('delete', 'pod', name, '--grace-period=0', '--force');
  }
}
