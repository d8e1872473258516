/** A nats-server of one's own: JetStream in a private folder, loopback only, a secret to get in, restarted when it dies. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import type { Logger } from 'pino';
import { CliError } from '../command/exit.ts';
import { freePorts } from './free-ports.ts';
import { makeNatsFolder } from './nats-folder.ts';
import { keepRunning } from './restarting.ts';
import { spawnTied, type TiedProcess } from './tied-process.ts';

export interface NatsProcess {
  readonly url: string;
  /** What clients log in with. */
  readonly token: string;
  /** Ends it and deletes its folder. */
  stop(): Promise<void>;
}

const startDeadlineMs = 10_000;
const stopDeadlineMs = 5_000;

/** Starts it. Throws a CliError that says how to get the program when it is not on PATH. */
export async function startNats(log: Logger): Promise<NatsProcess> {
  const program = findOnPath('nats-server');
  if (program === null) {
    throw new CliError(
      '--workers needs NATS, and nats-server is not on PATH',
      'Get it: apt-get install nats-server, brew install nats-server, or go install github.com/nats-io/nats-server/v2@latest. ' +
        'Or give a running one with --nats URL.',
    );
  }
  const [port = 0] = await freePorts(1);
  const folder = await makeNatsFolder();
  const token = randomBytes(24).toString('base64url');
  const file = join(folder, 'nats.conf');
  await writeFile(file, configuration({ port, folder, token }), { mode: 0o600 });
  let running: TiedProcess | null = null;
  const stopRestarting = keepRunning({
    run: () =>
      new Promise((resolve) => {
        const started = spawnTied(program, ['-c', file], folder);
        running = started;
        let last = '';
        started.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
          last = (last + text).slice(-2_000);
        });
        started.child.once('error', (error) => resolve(error.message));
        started.child.once('exit', (code, signal) => {
          running = null;
          resolve(`${signal ?? `exit ${code}`}; its last words: ${last.trim().split('\n').at(-1) ?? ''}`);
        });
      }),
    onEnd: (reason, delayMs) => log.warn({ delayMs }, `nats-server ended (${reason}); starting it again`),
    now: () => performance.now(),
    after: (ms, callback) => {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
  });
  const nats = {
    url: `nats://127.0.0.1:${port}`,
    token,
    stop: async () => {
      stopRestarting();
      const last = running;
      if (last !== null) {
        const ended = new Promise<void>((resolve) => last.child.once('exit', () => resolve()));
        last.stop();
        await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, stopDeadlineMs).unref())]);
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await untilListening(port);
  } catch (error) {
    await nats.stop();
    throw error;
  }
  return nats;
}

async function untilListening(port: number): Promise<void> {
  const started = performance.now();
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const listens = await Promise.race([
      once(socket, 'connect').then(
        () => true,
        () => false,
      ),
      new Promise<boolean>((resolve) => setTimeout(resolve, startDeadlineMs, false).unref()),
    ]);
    socket.destroy();
    if (listens) return;
    if (performance.now() - started > startDeadlineMs) {
      throw new CliError(`nats-server did not listen on port ${port} within ${startDeadlineMs / 1_000} s`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

interface ConfigurationInput {
  readonly port: number;
  readonly folder: string;
  readonly token: string;
}

function configuration({ port, folder, token }: ConfigurationInput): string {
  const text = (value: string): string => JSON.stringify(value);
  return (
    `host: "127.0.0.1"\nport: ${port}\nauthorization { token: ${text(token)} }\n` +
    `jetstream { store_dir: ${text(join(folder, 'store'))} }\n`
  );
}

/** Path of a program, or null. */
function findOnPath(program: string): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return null;
}
