/** A process of its own for work that must not hold up the server or take its memory: it is ended where it does. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../../proto/messages.ts';
import type { HostEvents, TaskHost } from './isolated-tasks.ts';

export class OutOfMemory extends Error {}

export interface ProcessHostOptions {
  /** Below controller/text. */
  readonly file: string;
  readonly args: readonly string[];
  readonly memoryBytes: number;
}

/** How Node ends when its heap is full. */
const abortSignals: ReadonlySet<string | null> = new Set(['SIGABRT', 'SIGTRAP', 'SIGILL']);

/** Sends messages, and hands on those that come; "ready" is the first of them. */
export function processHost<Message extends object, Answer>(
  { file, args, memoryBytes }: ProcessHostOptions,
  { onReady, onAnswer, onLost }: HostEvents<Answer>,
): TaskHost<Message> {
  const child = spawn(
    process.execPath,
    [
      `--max-old-space-size=${Math.floor(memoryBytes / 2 ** 20)}`,
      join(packageRoot, 'controller', 'text', file),
      ...args,
    ],
    // It needs none of the variables, some of which are secrets; times need the time zone.
    {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
      env: process.env['TZ'] === undefined ? {} : { TZ: process.env['TZ'] },
    },
  );
  // Neither the process nor its channel keeps this program alive.
  child.unref();
  child.channel?.unref();
  child.on('message', (message) => (message === 'ready' ? onReady() : onAnswer(message as Answer)));
  child.on('error', onLost);
  child.on('exit', (code, signal) => {
    const how = `the process ended with ${signal ?? `exit code ${code}`}`;
    const cause = abortSignals.has(signal) || code === 134 ? new OutOfMemory(how) : new Error(how);
    // Answers that it sent before may still be on their way.
    if (child.connected) child.once('disconnect', () => onLost(cause));
    else onLost(cause);
  });
  return {
    post: (message) => void child.send(message, () => undefined),
    end: async () => void child.kill('SIGKILL'),
  };
}
