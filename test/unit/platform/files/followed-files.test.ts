import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FollowedFiles } from '../../../../platform/files/followed-files.ts';
import { MountedSecret } from '../../../integration/tls/mounted-secret.ts';
import { ManualClock } from '../../worker/engine/manual-clock.ts';

let folder = '';
let followed: FollowedFiles<string> | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-followed-'));
});
afterEach(() => {
  followed?.close();
  rmSync(folder, { recursive: true, force: true });
});

const never = 1e9;

/** Two files that make sense together only when they begin alike. */
function follow(paths: readonly string[], pollMs: number) {
  const clock = new ManualClock();
  const errors: string[] = [];
  const changes: string[] = [];
  followed = new FollowedFiles({
    ...{ clock, pollMs },
    files: paths.map((path) => ({ option: '--file', path })),
    parse: (contents) => {
      const [one, other] = contents.map((content) => content.toString('utf8'));
      if (one?.[0] !== other?.[0]) throw new Error(`${one} does not go with ${other}`);
      return `${one} ${other}`;
    },
    onChange: (value, before) => changes.push(`${before} -> ${value}`),
    onError: (error) => errors.push(String(error)),
  });
  return { clock, errors, changes, files: followed };
}

describe('files that are followed', () => {
  it('are read again when the kubelet swaps the volume of a Secret, without waiting for a poll', async () => {
    const secret = new MountedSecret(join(folder, 'mount'), { a: '1a', b: '1b' });
    const { clock, changes, errors, files } = follow([secret.path('a'), secret.path('b')], never);
    for (const version of ['2', '3']) {
      secret.replace({ a: `${version}a`, b: `${version}b` });
      await vi.waitFor(
        () => {
          clock.advance(50);
          expect(files.value).toBe(`${version}a ${version}b`);
        },
        { timeout: 10_000, interval: 10 },
      );
    }
    expect(changes).toEqual(['1a 1b -> 2a 2b', '2a 2b -> 3a 3b']);
    expect(errors).toEqual([]);
  });

  it('are looked at now and then where no event comes', () => {
    mkdirSync(join(folder, 'elsewhere'));
    const [target, other] = [join(folder, 'elsewhere', 'a'), join(folder, 'b')];
    writeFileSync(target, '1a');
    writeFileSync(other, '1b');
    symlinkSync(target, join(folder, 'a'));
    const { clock, files } = follow([join(folder, 'a'), other], 5_000);
    writeFileSync(target, '1c'); // In a folder that is not watched.
    clock.advance(4_999);
    expect(files.value).toBe('1a 1b');
    clock.advance(1);
    expect(files.value).toBe('1c 1b');
  });

  it('keep their value while they do not go together, which is reported once it lasts', () => {
    const [a, b] = [join(folder, 'a'), join(folder, 'b')];
    writeFileSync(a, '1a');
    writeFileSync(b, '1b');
    const { clock, errors, changes, files } = follow([a, b], 5_000);
    writeFileSync(a, '2a');
    clock.advance(5_000);
    expect([files.value, errors]).toEqual(['1a 1b', []]);
    writeFileSync(b, '2b');
    clock.advance(5_000);
    expect([files.value, errors]).toEqual(['2a 2b', []]);
    rmSync(b);
    clock.advance(5_000);
    clock.advance(1_000);
    for (let poll = 0; poll < 3; poll++) clock.advance(5_000);
    expect(errors).toEqual([expect.stringMatching(/--file .*b: ENOENT/)]);
    expect(files.value).toBe('2a 2b');
    writeFileSync(b, '2c');
    clock.advance(5_000);
    expect(changes.at(-1)).toBe('2a 2b -> 2a 2c');
  });

  it('must make sense at first', () => {
    writeFileSync(join(folder, 'a'), '1');
    writeFileSync(join(folder, 'b'), '2');
    expect(() => follow([join(folder, 'a'), join(folder, 'b')], never)).toThrow('1 does not go with 2');
    expect(() => follow([join(folder, 'missing')], never)).toThrow(/--file .*missing: ENOENT/);
  });
});
