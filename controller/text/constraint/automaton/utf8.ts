/** Sets of characters as sequences of ranges of bytes, one range for each byte of their UTF-8. */
import type { CodePoints } from './code-points.ts';

export type ByteRange = readonly [number, number];

/** Last code point of each length. */
const lengths: readonly number[] = [0x7f, 0x7ff, 0xffff, 0x10ffff];

export function byteSequences(set: CodePoints): readonly (readonly ByteRange[])[] {
  const sequences: ByteRange[][] = [];
  for (const [first, end] of set) {
    let from = first;
    for (const last of lengths) {
      if (from > end) break;
      if (from > last) continue;
      split(from, Math.min(end, last), sequences);
      from = last + 1;
    }
  }
  return sequences;
}

/** Both ends have as many bytes. Splits where a byte behind the first one that differs does not have its whole range. */
function split(first: number, end: number, sequences: ByteRange[][]): void {
  const length = lengths.findIndex((last) => end <= last) + 1;
  for (let tail = 1; tail < length; tail++) {
    const mask = 2 ** (6 * tail) - 1;
    if ((first | mask) === (end | mask)) continue;
    if ((first & mask) !== 0) {
      split(first, first | mask, sequences);
      split((first | mask) + 1, end, sequences);
      return;
    }
    if ((end & mask) !== mask) {
      split(first, (end & ~mask) - 1, sequences);
      split(end & ~mask, end, sequences);
      return;
    }
  }
  const [a, b] = [bytesOf(first, length), bytesOf(end, length)];
  sequences.push(a.map((byte, i) => [byte, b[i]!] as const));
}

function bytesOf(point: number, length: number): number[] {
  if (length === 1) return [point];
  const bytes: number[] = [];
  let rest = point;
  for (let i = 1; i < length; i++) {
    bytes.unshift(0x80 | (rest & 0x3f));
    rest >>= 6;
  }
  return [((0xf00 >> length) & 0xff) | rest, ...bytes];
}
