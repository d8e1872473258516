/**
 * Keeps two processes from fetching the same twice, on one machine or on several that share a folder. The lock is a file
 * whose content its holder changes every few seconds; who waits takes it over when it has stood still for a while by the
 * waiter's own clock, so that no two clocks are compared. Nothing depends on it but the work saved: contents are verified, and
 * get their name at the end, whoever writes them.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { link, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import type { Clock } from '../../../platform/process/clock.ts';
import { sleep } from '../remote/retries.ts';

export interface LockOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called once, when another process holds the lock. */
  readonly onWait: (holder: string) => void;
}

const beatMs = 5_000;
const staleMs = 30_000;
const pollMs = 500;

/** Runs `work` while this process alone holds the lock at `path`. */
export async function withPullLock<T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const held = await take(path, options);
  process.once('exit', held.releaseNow);
  try {
    return await work();
  } finally {
    process.off('exit', held.releaseNow);
    await held.release();
  }
}

interface HeldLock {
  readonly release: () => Promise<void>;
  /** The same for a process that ends. */
  readonly releaseNow: () => void;
}

async function take(path: string, { clock, signal, onWait }: LockOptions): Promise<HeldLock> {
  await mkdir(dirname(path), { recursive: true });
  const id = randomUUID();
  let seen = { content: '', at: clock.now() };
  let waited = false;
  for (;;) {
    signal.throwIfAborted();
    if (await create(path, contentOf(id, 0))) return keepAlive(path, id, clock);
    const content = await readFile(path, 'utf8').catch(() => null);
    if (content === null) continue;
    if (seen.content !== content) seen = { content, at: clock.now() };
    if (clock.now() - seen.at >= staleMs || isGone(content)) {
      await removeStale(path, content, id);
      continue;
    }
    if (!waited) onWait(holderOf(content));
    waited = true;
    await sleep(clock, pollMs, signal);
  }
}

/** Writes the file unless there is one. */
async function create(path: string, content: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o664);
    try {
      await file.writeFile(content);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Another waiter may have done the same meanwhile, and hold the lock already: then it gets it back. */
async function removeStale(path: string, content: string, id: string): Promise<void> {
  const aside = `${path}.${id}`;
  await rename(path, aside).catch(() => undefined);
  const taken = await readFile(aside, 'utf8').catch(() => content);
  if (taken !== content) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function keepAlive(path: string, id: string, clock: Clock): HeldLock {
  let beats = 0;
  let beating = Promise.resolve();
  let cancel: () => void = () => undefined;
  const isOurs = async (): Promise<boolean> =>
    readFile(path, 'utf8').then(
      (content) => content.startsWith(id),
      () => false,
    );
  const schedule = (): void => {
    cancel = clock.after(beatMs, () => {
      beats += 1;
      beating = isOurs()
        .then((ours) => (ours ? writeFile(path, contentOf(id, beats)) : undefined))
        .catch(() => undefined)
        .then(schedule);
    });
  };
  schedule();
  return {
    release: async () => {
      cancel();
      await beating;
      cancel();
      if (await isOurs()) await rm(path, { force: true });
    },
    releaseNow: () => {
      try {
        if (readFileSync(path, 'utf8').startsWith(id)) rmSync(path);
      } catch {
        // Somebody else has removed it.
      }
    },
  };
}

function contentOf(id: string, beats: number): string {
  return `${id} ${hostname()} ${process.pid} ${beats}\n`;
}

function holderOf(content: string): string {
  const [, host = '?', pid = '?'] = content.split(' ');
  return `process ${pid} on ${host}`;
}

/** Whether the holder was a process of this machine that is no more. */
function isGone(content: string): boolean {
  const [, host, pid] = content.split(' ');
  if (host !== hostname() || !/^\d+$/.test(pid ?? '')) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
