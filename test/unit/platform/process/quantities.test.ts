import { expect, it } from 'vitest';
import { formatBytes, formatCount, formatDuration } from '../../../../platform/process/quantities.ts';

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
  [123.4 * 2 ** 20, '123 MiB'],
  [-1.25 * 2 ** 20, '-1.25 MiB'],
])('writes %d bytes as %s', (bytes, expected) => expect(formatBytes(bytes)).toBe(expected));

it.each([
  [0, '0'],
  [999, '999'],
  [5_110_000, '5.11 M'],
  [30_500_000_000, '30.5 B'],
])('writes a count of %d as %s', (count, expected) => expect(formatCount(count)).toBe(expected));

it.each([
  [850, '850 ms'],
  [1_500, '1.5 s'],
  [9_990, '10 s'],
  [59_400, '59 s'],
  [59_900, '1 min 00 s'],
  [185_000, '3 min 05 s'],
])('writes %d ms as %s', (ms, expected) => expect(formatDuration(ms)).toBe(expected));
