import { describe, expect, it } from 'vitest';
import { describeProgress, progressReporter } from '../../../../app/command/progress.ts';

const MiB = 2 ** 20;

describe('describeProgress', () => {
  it.each([
    [0, 100 * MiB, 0, '0 %, 0 B of 100 MiB'],
    [25 * MiB, 100 * MiB, 500, '25 %, 25 MiB of 100 MiB, 50 MiB/s, 1.5 s left'],
    [100 * MiB, 100 * MiB, 2_000, '100 %, 100 MiB of 100 MiB, 50 MiB/s, took 2.0 s'],
    [0, 0, 5, '100 %, 0 B of 0 B'],
  ])('says %d of %d bytes after %d ms', (doneBytes, totalBytes, elapsedMs, expected) => {
    expect(describeProgress({ doneBytes, totalBytes, elapsedMs })).toBe(expected);
  });
});

describe('progressReporter', () => {
  it('logs every few seconds and once at the end', () => {
    let now = 0;
    const lines: string[] = [];
    const report = progressReporter({ terminal: null, log: (_, line) => lines.push(line), now: () => now })('loading');
    for (; now <= 12_000; now += 1_000) report(now * 10, 120_000);
    report(120_000, 120_000);
    expect(lines.map((line) => line.split(',')[0])).toEqual(['loading: 41 %', 'loading: 83 %', 'loading: 100 %']);
  });

  it('writes one line of a terminal again and again, and ends it once', () => {
    const written: string[] = [];
    const terminal = { write: (text: string) => written.push(text), columns: 80 };
    const report = progressReporter({ terminal, log: () => {}, now: () => 0 })('loading');
    report(1, 2);
    report(2, 2);
    report(2, 2);
    expect(written).toEqual([
      '\r[############............] loading: 50 %, 1 B of 2 B\u001B[K',
      '\r[########################] loading: 100 %, 2 B of 2 B\u001B[K\n',
    ]);
  });

  it.each([
    [120, '[############............] preparing the KV cache: 50 %, 50 MiB of 100 MiB, 100 MiB/s, 500 ms left'],
    [90, '[######......] preparing the KV cache: 50 %, 50 MiB of 100 MiB, 100 MiB/s, 500 ms left'],
    [80, 'preparing the KV cache: 50 %, 50 MiB of 100 MiB, 100 MiB/s, 500 ms left'],
    [66, 'preparing the KV cache: 50 %, 50 MiB of 100 MiB, 500 ms left'],
    [50, 'preparing the KV cache: 50 %, 500 ms left'],
    [30, 'preparing the KV cache: 50 %'],
    [20, '50 %'],
    [4, '50 '],
    [0, 'preparing the KV cache: 50 %, 50 MiB of 100 MiB, 100 MiB/s, 500 ms left'],
  ])('says what fits into %d columns, without a cut', (columns, expected) => {
    const written: string[] = [];
    let now = 0;
    const terminal = { write: (text: string) => written.push(text), columns };
    const report = progressReporter({ terminal, log: () => {}, now: () => now })('preparing the KV cache');
    now = 500;
    report(50 * MiB, 100 * MiB);
    expect(written).toEqual([`\r${expected}\u001B[K`]);
  });
});
