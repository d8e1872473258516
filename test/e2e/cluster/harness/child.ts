import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { firstLine, withDeadline } from '../../processes.ts';
import { root } from '../../server.ts';

const { PRIORITY_BELOW_NORMAL: starting, PRIORITY_NORMAL: normal } = constants.priority;
/** Only the superuser may raise a priority again. */
const mayPrioritise = process.getuid?.() === 0;
const startDeadlineMs = 60_000;
const stopDeadlineMs = 30_000;
const endDeadlineMs = 60_000;
/** Characters of a log that are kept for failures. */
const logLimit = 200_000;

/** A part of a cluster: the built program, run as its users run it, from its first line of JSON to its end. */
export class Child<Line extends { readonly pid: number }> {
  readonly line: Line;
  readonly #process: ChildProcess;
  readonly #log: () => string;

  private constructor(child: ChildProcess, line: Line, log: () => string) {
    this.#process = child;
    this.line = line;
    this.#log = log;
  }

  /** Starts `conclave ...parameters --output json` and waits for its line. */
  static async start<Line extends { readonly pid: number }>(
    parameters: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Child<Line>> {
    const child = spawn(process.execPath, ['bin/conclave.js', ...parameters, '--output', 'json'], {
      cwd: root,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // Elsewhere than in a test each part starts on a machine of its own, and takes no processor time from those that serve.
    if (child.pid !== undefined && mayPrioritise) setPriority(child.pid, starting);
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-logLimit);
    });
    const line = await withDeadline(firstLine(child), startDeadlineMs, parameters[0] ?? '').catch((error: unknown) => {
      child.kill('SIGKILL');
      throw new Error(`conclave ${parameters.join(' ')}: ${String(error)}\n${log}`);
    });
    const parsed = JSON.parse(line) as Line;
    if (mayPrioritise) restorePriority(parsed.pid);
    return new Child(child, parsed, () => log);
  }

  get pid(): number {
    return this.line.pid;
  }

  get log(): string {
    return this.#log();
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Waits until it ends by itself; its exit code, or null after a signal. */
  async ended(): Promise<number | null> {
    if (this.running) await withDeadline(once(this.#process, 'exit'), endDeadlineMs, 'the end');
    return this.#process.exitCode;
  }

  /** Sends a signal; SIGKILL is waited for. */
  async signal(name: NodeJS.Signals): Promise<void> {
    if (!this.running) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill(name);
    if (name === 'SIGKILL') await exited;
  }

  /** Sends SIGTERM and waits for the end; kills what does not end. Its exit code, or null after a signal. */
  async stop(): Promise<number | null> {
    if (this.running) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await withDeadline(exited, stopDeadlineMs, 'the end').catch(() => undefined);
      await this.signal('SIGKILL');
    }
    return this.#process.exitCode;
  }
}

/** Of every thread: each has a priority of its own. */
function restorePriority(pid: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      setPriority(Number(thread), normal);
    } catch {
      // It has ended meanwhile.
    }
  }
}
