/** What a command does when stdout or stderr can no longer be written: the reader has gone away, or the disk is full. */
import type { Logger } from 'pino';
import { exitCodes } from './exit.ts';

/** For every command, before it writes anything: a lost stdout ends it, a lost stderr is nobody's matter. */
export function guardOutput({ stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'>): void {
  stdout.on('error', end);
  stderr.on('error', () => undefined);
}

/** For servers: they go on. */
export function outliveOutput({ stdout }: Pick<NodeJS.Process, 'stdout'>, log: Logger): void {
  stdout.off('error', end);
  stdout.on('error', (error: Error) => log.warn(`stdout cannot be written: ${error.message}; serving goes on`));
}

function end(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(exitCodes.unread);
  process.stderr.write(`conclave: the output cannot be written: ${error.message}\n`);
  process.exit(exitCodes.failure);
}
