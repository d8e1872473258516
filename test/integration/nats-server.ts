import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './find-program.ts';
import { freePort } from './free-port.ts';

/** Where nats-server is; null when it is nowhere. */
export function findNatsServer(): string | null {
  return findProgram('nats-server');
}

/** Why tests that need the server are skipped; goes into their names. */
export const natsServerMissing =
  'skipped: nats-server is missing; get it with "go install github.com/nats-io/nats-server/v2@v2.15.2" or "apt-get install nats-server"';

const readyMs = 10_000;

/** A real nats-server with JetStream on a free port of this machine, its state in a folder of its own. */
export class NatsServer {
  readonly #folder: string;
  readonly #args: readonly string[];
  readonly #port: number;
  #process: ChildProcess | null = null;

  /** `args` are added to the command line. */
  static async start(args: readonly string[] = []): Promise<NatsServer> {
    const server = new NatsServer(await mkdtemp(join(tmpdir(), 'conclave-nats-')), await freePort(), args);
    await server.restart();
    return server;
  }

  private constructor(folder: string, port: number, args: readonly string[]) {
    this.#folder = folder;
    this.#port = port;
    this.#args = args;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  /** Sends a signal: SIGKILL and SIGTERM end it, SIGSTOP and SIGCONT freeze it and thaw it, SIGHUP has it read its files again. */
  async signal(name: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT' | 'SIGHUP'): Promise<void> {
    const running = this.#process;
    if (running === null) return;
    running.kill(name);
    if (name !== 'SIGKILL' && name !== 'SIGTERM') return;
    if (running.exitCode === null && running.signalCode === null) await once(running, 'exit');
    this.#process = null;
  }

  /** Starts it again on the same port after it ended. */
  async restart(): Promise<void> {
    const binary = findNatsServer();
    if (binary === null) throw new Error(natsServerMissing);
    const store = join(this.#folder, 'store');
    const flags = ['-a', '127.0.0.1', '-p', String(this.#port), '-js', '-sd', store];
    const started = spawn(binary, [...flags, ...this.#args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-10_000);
    });
    this.#process = started;
    const deadline = performance.now() + readyMs;
    while (!/Server is ready/.test(log)) {
      if (started.exitCode !== null) throw new Error(`nats-server ended with ${started.exitCode}:\n${log}`);
      if (performance.now() > deadline) throw new Error(`nats-server is not ready after ${readyMs} ms:\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Forgets everything that the server stored; only while it does not run. */
  async loseState(): Promise<void> {
    if (this.#process !== null) throw new Error('the server runs');
    await rm(join(this.#folder, 'store'), { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    await this.signal('SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }
}
