/** The fraction [begin, end) / parts of an operator; see Share in plan.proto. */
export interface Part {
  readonly begin: number;
  readonly end: number;
  readonly parts: number;
}

export const wholeShare: Part = { begin: 0, end: 1, parts: 1 };

/** How many of `count` heads a part has: from floor(count * begin / parts) to floor(count * end / parts). */
export function partOf(count: number, { begin, end, parts }: Part): number {
  return Math.floor((count * end) / parts) - Math.floor((count * begin) / parts);
}
