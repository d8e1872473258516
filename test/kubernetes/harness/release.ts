/** A release of the chart in a namespace of its own, in which Pod Security Admission enforces "restricted". */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { chart, get, helm, kubectl, kubectlWith } from './programs.ts';
import { type Endpoint, openAgent, post } from './streams.ts';
import { until } from './until.ts';

/** Images that the harness made; everything else is as the chart has it. */
const images = ['--set', 'image.repository=localhost/conclave,image.tag=test'].concat([
  '--set',
  'nats.image.repository=localhost/nats,nats.image.tag=test',
]);

export interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

export class Release {
  readonly name: string;
  readonly namespace: string;

  constructor(name: string, namespace = name) {
    this.name = name;
    this.namespace = namespace;
  }

  /** Installs it, or brings one that is there to these values; does not wait. */
  async apply(...flags: readonly string[]): Promise<void> {
    await kubectlWith(JSON.stringify(restricted(this.namespace)), 'apply', '-f', '-');
    const note = ['--description', noteOf(flags)];
    await helm('upgrade', '--install', this.name, chart, '-n', this.namespace, ...images, ...note, ...flags);
  }

  /** Whether it is there already, of this very chart and with these values. */
  async is(...flags: readonly string[]): Promise<boolean> {
    const status = await helm('status', this.name, '-n', this.namespace, '-o', 'json').catch(() => null);
    if (status === null) return false;
    const { info } = JSON.parse(status) as { readonly info: { readonly status: string; readonly description: string } };
    return info.status === 'deployed' && info.description === noteOf(flags);
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return kubectl('-n', this.namespace, ...args);
  }

  /** Pods of a component that are not on their way out. */
  async pods(component: string, more = ''): Promise<readonly Pod[]> {
    const selector = `app.kubernetes.io/instance=${this.name},app.kubernetes.io/component=${component}${more}`;
    const { items } = await get('-n', this.namespace, 'pods', '-l', selector);
    return items.filter((pod: { readonly metadata: { readonly deletionTimestamp?: string } }) => {
      return pod.metadata.deletionTimestamp === undefined;
    });
  }

  /** Until so many pods of a component are ready, and no other is there. */
  async ready(component: string, count: number, ms: number, more = ''): Promise<readonly Pod[]> {
    return until(`${count} ready pods of ${component}${more}`, ms, async () => {
      const pods = await this.pods(component, more);
      return pods.length === count && pods.every(isReady) ? pods : null;
    });
  }

  /** Until what the release makes is there and settled: rolled out, in force, and answering. */
  async settled(ms: number): Promise<void> {
    const wait = `--timeout=${Math.ceil(ms / 1_000)}s`;
    await this.kubectl('rollout', 'status', `deployment/${this.name}`, wait);
    await this.kubectl('rollout', 'status', `statefulset/${this.name}-nats`, wait);
    for (const kind of ['moemodel', 'expertpool']) {
      await this.kubectl('wait', '--for=condition=Progressing=false', `${kind}/${this.name}`, wait);
    }
    await this.kubectl('wait', '--for=condition=Available', `moemodel/${this.name}`, wait);
  }

  async secret(name: string, key: string): Promise<string> {
    const { data } = await get('-n', this.namespace, 'secret', `${this.name}-${name}`);
    return Buffer.from(data[key], 'base64').toString('utf8');
  }

  /** Where clients reach the API, with what they need. */
  async endpoint(): Promise<Endpoint> {
    const { spec } = await get('-n', this.namespace, 'service', this.name);
    const [key = ''] = (await this.secret('api-keys', 'keys')).split('\n').filter((line) => !/^(#|$)/.test(line));
    return {
      host: `${this.name}.${this.namespace}.svc`,
      address: spec.clusterIP,
      port: 8000,
      authority: await this.secret('controller-tls', 'ca.crt'),
      key,
    };
  }

  /** What the demo model says to a question. */
  async answer(question: string): Promise<string> {
    const endpoint = await this.endpoint();
    const agent = openAgent(endpoint);
    try {
      const messages = [{ role: 'user', content: question }];
      const body = { model: 'clerk', messages, temperature: 0 };
      // A connection that is asked for before the Service has endpoints may be lost: it is asked for again.
      const document = JSON.parse(await text(await post(endpoint, agent, '/v1/chat/completions', body, 10_000)));
      return document.choices[0].message.content;
    } finally {
      agent.destroy();
    }
  }

  /** Pod of the controller that plans. */
  leader(): Promise<string> {
    return until('a controller that leads', 120_000, async () => {
      for (const { metadata } of await this.pods('controller')) {
        const metrics = await this.kubectl('exec', metadata.name, '--', 'node', '--eval', readMetrics);
        if (/^conclave_controller_leads 1$/m.test(metrics)) return metadata.name;
      }
      return null;
    });
  }

  /** Until there is neither a release nor its namespace. */
  async erase(): Promise<void> {
    await helm('uninstall', this.name, '-n', this.namespace, '--ignore-not-found', '--wait', '--timeout', '3m');
    await kubectl('delete', 'namespace', this.namespace, '--ignore-not-found', '--timeout=3m');
  }

  async uninstall(): Promise<void> {
    await helm('uninstall', this.name, '-n', this.namespace, '--wait', '--timeout', '3m');
  }
}

/** Names a chart and values for it. */
function noteOf(flags: readonly string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(flags));
  for (const entry of readdirSync(chart, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) digest.update(readFileSync(join(entry.parentPath, entry.name)));
  }
  return digest.digest('hex');
}

export function isReady({ status }: Pod): boolean {
  return status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
}

function restricted(name: string): object {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

/** Run in a controller's container, which has curl's task done by Node. */
const readMetrics = `
  const { request } = require('node:https');
  const ca = require('node:fs').readFileSync('/etc/conclave/tls/ca.crt');
  request({ host: 'localhost', port: 8000, path: '/metrics', ca }, (answer) => answer.pipe(process.stdout)).end();
`;
