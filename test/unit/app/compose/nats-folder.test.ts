import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeNatsFolder } from '../../../../app/supervise/nats-folder.ts';

let parent = '';
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'conclave-folders-'));
});
afterEach(() => rmSync(parent, { recursive: true }));

/** This process's folder, as one of another process, started at another time, or seen from another namespace. */
async function folderOf(change: { readonly pid?: number; readonly start?: number; readonly namespace?: number }) {
  const own = await makeNatsFolder(parent);
  const [, , namespace, pid, start, random] = basename(own).split('-');
  rmSync(own, { recursive: true });
  const parts = [change.namespace ?? namespace, change.pid ?? pid, change.start ?? start, random];
  const path = join(parent, `conclave-nats-${parts.join('-')}`);
  mkdirSync(path);
  writeFileSync(join(path, 'nats.conf'), 'secret');
  return path;
}

it('keeps those of processes that run, and makes a new one each time', async () => {
  const first = await makeNatsFolder(parent);
  const second = await makeNatsFolder(parent);
  expect(first).not.toBe(second);
  expect(readdirSync(parent)).toHaveLength(2);
});

it('deletes those whose process is gone', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  const gone = await folderOf({ pid: child.pid ?? 0 });
  await makeNatsFolder(parent);
  expect(existsSync(gone)).toBe(false);
});

it.runIf(existsSync('/proc/self/stat'))('deletes those whose process id another process has now', async () => {
  const gone = await folderOf({ start: 1 });
  await makeNatsFolder(parent);
  expect(existsSync(gone)).toBe(false);
});

it.runIf(existsSync('/proc/self/ns/pid'))('keeps those whose process it cannot see', async () => {
  const elsewhere = await folderOf({ namespace: 1, pid: 2 ** 22 + 1 });
  await makeNatsFolder(parent);
  expect(existsSync(elsewhere)).toBe(true);
});

it('touches nothing that it did not make', async () => {
  const others = ['conclave-nats-abcdef', 'conclave-nats-1-2', 'other-1-99999999-3-abc'];
  for (const name of others) mkdirSync(join(parent, name));
  await makeNatsFolder(parent);
  expect(readdirSync(parent)).toEqual(expect.arrayContaining(others));
});
