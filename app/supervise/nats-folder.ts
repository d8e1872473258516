/**
 * The folder of a nats-server of one's own. It holds a secret and must not outlive its process: what a process leaves that was
 * killed with all its children is deleted by the next one that needs such a folder.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const prefix = 'conclave-nats-';

/** A process among all that ran here: ids are used again, start times are not. */
interface Owner {
  /** Of the ids: a folder may be shared by containers that do not see each other's processes. */
  readonly namespace: string;
  readonly pid: number;
  /** In ticks since the machine started. */
  readonly start: string;
}

/** Makes a folder of this process in `parent`, and deletes those of processes that are gone. */
export async function makeNatsFolder(parent = tmpdir()): Promise<string> {
  const own = { namespace: pidNamespace(), pid: process.pid, start: startOf(process.pid) ?? '0' };
  for (const name of readdirSync(parent)) {
    const owner = ownerOf(name);
    if (owner === null || owner.namespace !== own.namespace || isRunning(owner)) continue;
    // Another user's folder cannot be deleted, and is that user's matter.
    await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined);
  }
  return mkdtemp(join(parent, `${prefix}${own.namespace}-${own.pid}-${own.start}-`));
}

function ownerOf(name: string): Owner | null {
  const [, namespace, pid, start] = /^conclave-nats-(\d+)-(\d+)-(\d+)-[^-]+$/.exec(name) ?? [];
  return namespace === undefined || start === undefined ? null : { namespace, pid: Number(pid), start };
}

function isRunning({ pid, start }: Owner): boolean {
  const now = startOf(pid);
  if (now !== null) return now === start;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** When a process started; null where there is none, or no /proc. */
function startOf(pid: number): string | null {
  try {
    // The second field is the program's name in parentheses, which may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    const [state, start] = [fields[0], fields[19]];
    return state === 'Z' || start === undefined ? null : start;
  } catch {
    return null;
  }
}

function pidNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
  } catch {
    return '0';
  }
}
