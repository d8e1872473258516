import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { dirname, join } from 'node:path';
import { planJson, type StatusJson, statusJson } from '../../../../app/cli/operate/cluster-json.ts';
import type { ControlClient } from '../../../../app/cli/operate/control-client.ts';
import { withControl } from '../../../../app/cli/operate/with-control.ts';
import type { GetPlanResponse__Output as GetPlanResponse } from '../../../../proto/generated/conclave/v1/GetPlanResponse.ts';
import { freePort } from '../../../integration/free-port.ts';
import { findNatsServer, NatsServer, natsServerMissing } from '../../../integration/nats-server.ts';
import { run, until } from '../../server.ts';
import { Child } from './child.ts';

interface ControllerLine {
  readonly pid: number;
  readonly id: string;
  readonly http: string;
  readonly grpc: string;
  readonly model: { readonly name: string };
}

interface WorkerLine {
  readonly pid: number;
  readonly id: string;
  readonly address: string;
  readonly metrics: string | null;
}

export interface ClusterOptions {
  /** Checkpoint folder. */
  readonly model: string;
  /** Default 1. */
  readonly controllers?: number;
  readonly controllerFlags?: readonly string[];
  /** Flags of each worker, by id; more may be added later. */
  readonly workers: Readonly<Record<string, readonly string[]>>;
  /** Flags of all workers. */
  readonly workerFlags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Everything is encrypted and proves who it is; the same certificate serves and connects. */
  readonly tls?: TlsPaths;
  readonly adminKey?: string;
}

export interface TlsPaths {
  readonly certificate: string;
  readonly key: string;
  /** Default: the certificate, which has signed itself. */
  readonly authority?: string;
}

/** Path of a configuration with these certificates: only from a file does the server read them again. */
function natsConfiguration({ certificate, key, authority = certificate }: TlsPaths): string {
  const path = join(dirname(certificate), 'nats.conf');
  const files = `cert_file: "${certificate}", key_file: "${key}", ca_file: "${authority}"`;
  writeFileSync(path, `tls { ${files}, verify: true }\n`);
  return path;
}

/** `describe` where nats-server is; elsewhere a skip that names what is missing. */
export const clusterTests: { readonly skip: boolean; readonly suffix: string } =
  findNatsServer() === null ? { skip: true, suffix: ` (${natsServerMissing})` } : { skip: false, suffix: '' };

/** A cluster of real processes around a real nats-server, all of this machine. */
export class Cluster implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly controllers: Child<ControllerLine>[] = [];
  readonly workers = new Map<string, Child<WorkerLine>>();
  readonly #options: ClusterOptions;
  readonly #ports = new Map<string, number>();

  private constructor(nats: NatsServer, options: ClusterOptions) {
    this.nats = nats;
    this.#options = options;
  }

  /** Starts everything and waits until requests are answered. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const { tls } = options;
    const natsFlags = tls === undefined ? [] : ['-c', natsConfiguration(tls)];
    const cluster = new Cluster(await NatsServer.start(natsFlags), options);
    try {
      const ids = Object.keys(options.workers);
      const controllers = Array.from({ length: options.controllers ?? 1 }, (_, i) =>
        cluster.startController(`c${i + 1}`),
      );
      const parts = [...controllers, ...ids.map((id) => cluster.startWorker(id, options.workers[id] ?? []))];
      await Promise.allSettled(parts); // What starts while another part fails must be ended too.
      await Promise.all(parts);
      await cluster.untilReady();
    } catch (error) {
      const logs = cluster.logs();
      await cluster.stop();
      throw new Error(`${String(error)}\n${logs}`, { cause: error });
    }
    return cluster;
  }

  get model(): string {
    return this.controllers[0]?.line.model.name ?? '';
  }

  /** What a load is put on. */
  get asked(): { readonly urls: readonly string[]; readonly model: string; readonly layout: string } {
    return { urls: this.urls, model: this.model, layout: (this.#options.controllerFlags ?? []).join(' ') };
  }

  get urls(): readonly string[] {
    return this.controllers.map(({ line }) => line.http);
  }

  async startController(id: string): Promise<Child<ControllerLine>> {
    const { model, controllerFlags = [], workers, environment, adminKey } = this.#options;
    const ports = await Promise.all(['http', 'grpc'].map((name) => this.#port(`${id} ${name}`)));
    const child = await Child.start<ControllerLine>(
      [
        ...['controller', model, '--nats', this.nats.url, '--id', id, '--weights', 'f32'],
        ...['--port', String(ports[0]), '--grpc-port', String(ports[1])],
        ...['--min-workers', String(Object.keys(workers).length), ...this.#tlsFlags()],
        // Tests count slots: load alone moves none, but where a test is about that.
        ...(controllerFlags.includes('--rebalance') ? [] : ['--rebalance', 'off']),
        ...controllerFlags,
        ...(adminKey === undefined ? [] : ['--admin-key', adminKey]),
      ],
      environment,
    );
    const place = this.controllers.findIndex(({ line }) => line.id === id);
    if (place < 0) this.controllers.push(child);
    else this.controllers[place] = child;
    return child;
  }

  /** Starts a worker, or starts it again at the address that it had. */
  async startWorker(
    id: string,
    flags: readonly string[] = this.#options.workers[id] ?? [],
    extra: Readonly<Record<string, string>> = {},
  ): Promise<Child<WorkerLine>> {
    const { model, workerFlags = [], environment } = this.#options;
    const child = await Child.start<WorkerLine>(
      [
        ...['worker', ...(flags[0]?.startsWith('/') ? [flags[0]] : [model]), '--nats', this.nats.url, '--id', id],
        ...['--port', String(await this.#port(id)), '--threads', '1', '--memory', '1GiB', '--metrics-port', '0'],
        ...this.#tlsFlags(),
        ...workerFlags,
        ...flags.filter((flag) => !flag.startsWith('/')),
      ],
      { ...environment, ...extra },
    );
    this.workers.set(id, child);
    return child;
  }

  worker(id: string): Child<WorkerLine> {
    const found = this.workers.get(id);
    if (found === undefined) throw new Error(`no worker ${id}`);
    return found;
  }

  /** Answers a request, or fails with what the first controller said. */
  async post<T>(path: string, body: unknown): Promise<T> {
    const { status, text } = await this.request(`${this.urls[0]}${path}`, JSON.stringify(body));
    if (status !== 200) throw new Error(`${path}: ${status} ${text}\n${this.logs()}`);
    return JSON.parse(text) as T;
  }

  /** GET, or POST with a body of JSON. */
  request(url: string, body?: string): Promise<{ readonly status: number; readonly text: string }> {
    const { tls } = this.#options;
    return new Promise((resolve, reject) => {
      const sent = (tls === undefined ? http : https).request(
        url,
        {
          method: body === undefined ? 'GET' : 'POST',
          headers: { 'Content-Type': 'application/json' },
          agent: false,
          timeout: 60_000,
          ...(tls !== undefined && { ca: readFileSync(tls.authority ?? tls.certificate) }),
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (piece: string) => {
            text += piece;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
          response.on('error', reject);
        },
      );
      sent.on('error', reject);
      sent.on('timeout', () => sent.destroy(new Error(`${url}: no answer within 60 s`)));
      sent.end(body);
    });
  }

  /** Runs an operator's command against a controller; fails unless it ends with 0. */
  async operate(...command: readonly string[]): Promise<string> {
    const server = this.controllers.find(({ running }) => running)?.line.grpc ?? '';
    const { adminKey } = this.#options;
    const key = adminKey === undefined ? [] : ['--admin-key', adminKey];
    const flags = ['--server', server, '--output', 'json', ...key, ...this.#tlsFlags()];
    const { code, stdout, stderr } = await run([...command, ...flags]);
    if (code !== 0) throw new Error(`conclave ${command.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** What a controller says of the cluster. */
  status(controller = this.#firstRunning()): Promise<StatusJson> {
    return this.#control(controller, async (control) => statusJson(await control.status()));
  }

  /** As `conclave scale --replicas N`, without the processor time of a process of its own. */
  async scale(replicas: number): Promise<void> {
    const { epoch } = await this.#control(this.#firstRunning(), (control) =>
      control.call<{ readonly epoch: number }>((metadata, options, done) =>
        control.client.Scale({ replicas, all: true }, metadata, options, done),
      ),
    );
    await this.untilStatus(({ plan, rollout }) => plan.epoch >= epoch && rollout.phase === 'complete');
  }

  /** As `conclave drain WORKER`. */
  async drain(workerId: string): Promise<void> {
    const epoch = await this.#drain({ workerId });
    await this.untilStatus(
      ({ plan, workers }) => plan.epoch >= epoch && workers.every(({ id, slots }) => id !== workerId || slots === 0),
    );
  }

  /** As `conclave drain WORKER --cancel`. */
  async cancelDrain(workerId: string): Promise<void> {
    await this.#drain({ workerId, cancel: true });
  }

  /** As `conclave plan --output json`. */
  async plan(): Promise<ReturnType<typeof planJson>> {
    const { plan } = await this.#control(this.#firstRunning(), (control) =>
      control.call<GetPlanResponse>((metadata, options, done) => control.client.GetPlan({}, metadata, options, done)),
    );
    if (plan === null) throw new Error('there is no plan');
    return planJson(plan);
  }

  async #drain(request: { readonly workerId: string; readonly cancel?: boolean }): Promise<number> {
    const { epoch } = await this.#control(this.#firstRunning(), (control) =>
      control.call<{ readonly epoch: number }>((metadata, options, done) =>
        control.client.Drain(request, metadata, options, done),
      ),
    );
    return epoch;
  }

  #firstRunning(): number {
    return this.controllers.findIndex(({ running }) => running);
  }

  #control<T>(controller: number, work: (control: ControlClient) => Promise<T>): Promise<T> {
    const server = this.controllers[controller]?.line.grpc ?? '';
    const { adminKey = null, tls } = this.#options;
    const [tlsCert, tlsKey, tlsCa] = [
      tls?.certificate ?? null,
      tls?.key ?? null,
      tls?.authority ?? tls?.certificate ?? null,
    ];
    const config = { server, adminKey, timeout: 15_000, tls: false, tlsCa, tlsCert, tlsKey };
    return withControl(config, work);
  }

  /** Waits until every controller answers requests and the plan is in force. */
  async untilReady(): Promise<void> {
    for (const url of this.urls) {
      await until(
        () =>
          this.request(`${url}/ready`).then(
            ({ text }) => JSON.parse(text) as { readonly ready: boolean },
            () => ({ ready: false }),
          ),
        ({ ready }) => ready,
        60_000,
      );
    }
  }

  /** Waits until the newest plan is in force and every worker of it is ready. */
  untilSettled(): Promise<StatusJson> {
    return this.untilStatus(
      ({ rollout, workers }) =>
        rollout.phase === 'complete' &&
        workers.every(({ state, weightBytes }) => state === 'ready' || (weightBytes === 0 && state !== 'loading')),
    );
  }

  /** Waits until the status is as wanted. */
  untilStatus(holds: (status: StatusJson) => boolean, deadlineMs = 30_000): Promise<StatusJson> {
    return until(() => this.status(), holds, deadlineMs);
  }

  logs(): string {
    const parts = [...this.controllers, ...this.workers.values()].map(
      (child) => `--- ${JSON.stringify(child.line)}\n${child.log.slice(-4_000)}`,
    );
    return parts.join('\n');
  }

  async stop(): Promise<void> {
    const children = [...this.controllers, ...this.workers.values()];
    await Promise.all(children.map((child) => child.signal('SIGKILL')));
    await this.nats.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #tlsFlags(): readonly string[] {
    const { tls } = this.#options;
    if (tls === undefined) return [];
    return ['--tls-cert', tls.certificate, '--tls-key', tls.key, '--tls-ca', tls.authority ?? tls.certificate];
  }

  async #port(name: string): Promise<number> {
    const known = this.#ports.get(name);
    if (known !== undefined) return known;
    const port = await freePort();
    this.#ports.set(name, port);
    return port;
  }
}
