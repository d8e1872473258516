import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { firstLine, withDeadline } from './processes.ts';

/** The folder that holds package.json. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What `conclave serve --output json` writes once it answers. */
export interface Ready {
  readonly event: 'ready';
  readonly pid: number;
  readonly http: string;
  readonly grpc: string;
  readonly model: { readonly name: string; readonly maxModelLen: number };
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const startDeadlineMs = 60_000;
const stopDeadlineMs = 60_000;

/** The built program, run as its users run it. */
export class Server implements AsyncDisposable {
  readonly ready: Ready;
  readonly #child: ChildProcess;
  readonly #stderr: () => string;

  private constructor(child: ChildProcess, ready: Ready, stderr: () => string) {
    this.#child = child;
    this.ready = ready;
    this.#stderr = stderr;
  }

  /** Starts `conclave serve` on free ports and waits until it answers. */
  static async start(flags: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Server> {
    const child = spawn(
      process.execPath,
      ['bin/conclave.js', 'serve', '--port', '0', '--grpc-port', '0', '--output', 'json', ...flags],
      { cwd: root, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const ready = await withDeadline(firstLine(child), startDeadlineMs, `a ready line from ${flags.join(' ')}`).catch(
      (error: unknown) => {
        child.kill('SIGKILL');
        throw new Error(`${String(error)}\n${stderr}`);
      },
    );
    return new Server(child, JSON.parse(ready) as Ready, () => stderr);
  }

  get url(): string {
    return this.ready.http;
  }

  /** Name of the served model. */
  get model(): string {
    return this.ready.model.name;
  }

  get stderr(): string {
    return this.#stderr();
  }

  /** Sends a request; JSON unless it is text. */
  fetch(path: string, body?: unknown, init: RequestInit = {}): Promise<Response> {
    const post: RequestInit =
      body === undefined
        ? {}
        : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
    return fetch(`${this.url}${path}`, { signal: AbortSignal.timeout(60_000), ...post, ...init });
  }

  /** Answers a request, or fails with what the server said. */
  async post<T>(path: string, body: unknown): Promise<T> {
    const response = await this.fetch(path, body);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** The sum of a metric over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await this.fetch('/metrics')).text();
    const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    if (lines.length === 0) throw new Error(`no metric ${name}`);
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  /** Open files, sockets included. */
  handles(): number {
    return readdirSync(`/proc/${this.ready.pid}/fd`).length;
  }

  /** Memory that the process holds, in bytes. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.ready.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1]) * 1_024;
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return { code: exitCode, signal: signalCode };
    const exited = once(this.#child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    this.#child.kill(signal);
    const [code, by] = await withDeadline(exited, stopDeadlineMs, 'the end of the server').finally(() => {
      this.#child.kill('SIGKILL');
    });
    return { code, signal: by };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

export interface Finished extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the built program to its end. */
export async function run(
  parameters: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const child = spawn(process.execPath, ['bin/conclave.js', ...parameters], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const [code, signal] = await withDeadline(closed, startDeadlineMs, parameters.join(' ')).finally(() =>
    child.kill('SIGKILL'),
  );
  return { code, signal, stdout, stderr };
}

/** Asks until a condition holds, or fails after the deadline with what it was last. */
export async function until<T>(
  ask: () => T | Promise<T>,
  holds: (value: T) => boolean,
  deadlineMs = 20_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await ask();
    if (holds(value)) return value;
    if (performance.now() > end) throw new Error(`still ${JSON.stringify(value)} after ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
