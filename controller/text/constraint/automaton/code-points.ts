/** Sets of code points: ranges, both ends included, ascending and apart. Surrogates are in none: they are no characters of UTF-8. */
export type CodePoints = readonly (readonly [number, number])[];

const last = 0x10ffff;

/** The set of ranges in any order. */
export function codePoints(ranges: Iterable<readonly [number, number]>): CodePoints {
  const sorted = [...ranges].filter(([first, end]) => first <= end).sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [first, end] of sorted) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], end);
    else joined.push([first, end]);
  }
  return joined.flatMap(withoutSurrogates);
}

function withoutSurrogates([first, end]: readonly [number, number]): [number, number][] {
  if (end < 0xd800 || first > 0xdfff) return [[first, end]];
  const parts: [number, number][] = [
    [first, 0xd7ff],
    [0xe000, end],
  ];
  return parts.filter(([from, to]) => from <= to);
}

export const everyCharacter: CodePoints = codePoints([[0, last]]);

export function complement(set: CodePoints): CodePoints {
  const rest: [number, number][] = [];
  let next = 0;
  for (const [first, end] of set) {
    if (first > next) rest.push([next, first - 1]);
    next = end + 1;
  }
  if (next <= last) rest.push([next, last]);
  return codePoints(rest);
}

export function union(...sets: readonly CodePoints[]): CodePoints {
  return codePoints(sets.flat());
}

export function intersection(a: CodePoints, b: CodePoints): CodePoints {
  const both: [number, number][] = [];
  for (const [first, end] of a) {
    for (const [from, to] of b) {
      const start = Math.max(first, from);
      const stop = Math.min(end, to);
      if (start <= stop) both.push([start, stop]);
    }
  }
  return codePoints(both);
}

/** Characters that stand in JSON strings as they are. */
export const plainCharacters: CodePoints = codePoints([
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, last],
]);
