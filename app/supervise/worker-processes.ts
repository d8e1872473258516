/** Worker processes on this machine that keep their ids and addresses, and are started again when they die. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { packageRoot } from '../../proto/package-root.ts';
import { keepRunning } from './restarting.ts';

export interface WorkerProcessSpec {
  readonly id: string;
  /** Flags of `conclave worker`. */
  readonly flags: readonly string[];
}

export interface WorkerProcessesOptions {
  readonly workers: readonly WorkerProcessSpec[];
  /** Secrets, which must not be flags. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: Logger;
}

export interface WorkerProcesses {
  /** Ends them at once: what they ran must have ended before. */
  stop(): Promise<void>;
}

/** Lines of a worker's log that cannot be parsed are cut to this many characters. */
const LINE_LIMIT = 2_000;

/** Starts them. Their logs go into this process's log, each line with the worker's id. */
export function startWorkerProcesses({ workers, environment, log }: WorkerProcessesOptions): WorkerProcesses {
  const running = new Map<string, ChildProcess>();
  const stops = workers.map(({ id, flags }) =>
    keepRunning({
      run: () =>
        new Promise((resolve) => {
          // Tied by the channel: the worker ends when it closes. Detached: signals of the terminal are this process's matter.
          const child = fork(join(packageRoot, 'bin', 'conclave.js'), ['worker', ...flags], {
            stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
            env: { ...ownEnvironment(), ...environment },
            detached: true,
          });
          running.set(id, child);
          relayLog(child, log.child({ worker: id }));
          child.once('error', (error) => resolve(error.message));
          child.once('exit', (code, signal) => {
            running.delete(id);
            resolve(signal ?? `exit ${code}`);
          });
        }),
      onEnd: (reason, delayMs) => log.warn({ worker: id, delayMs }, `worker ${id} died (${reason}); starting it again`),
      now: () => performance.now(),
      after: (ms, callback) => {
        const timer = setTimeout(callback, ms);
        return () => clearTimeout(timer);
      },
    }),
  );
  return {
    stop: async () => {
      for (const stop of stops) stop();
      const children = [...running.values()];
      const ended = children.map((child) => new Promise<void>((resolve) => child.once('exit', () => resolve())));
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(ended);
    },
  };
}

/** This process's environment without its own options, which are not the worker's. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('CONCLAVE_') || name === 'CONCLAVE_NATIVE'),
  );
}

const levels = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' } as const;

function relayLog(child: ChildProcess, log: Logger): void {
  let rest = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, LINE_LIMIT * 10);
    for (const line of lines) relayLine(line, log);
  });
  child.stderr?.once('end', () => {
    if (rest !== '') relayLine(rest, log);
  });
}

function relayLine(line: string, log: Logger): void {
  try {
    const { level, time: _, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
    const name = levels[Number(level) as keyof typeof levels] ?? 'info';
    log[name](fields, typeof msg === 'string' ? msg : '');
  } catch {
    log.warn(line.slice(0, LINE_LIMIT));
  }
}
