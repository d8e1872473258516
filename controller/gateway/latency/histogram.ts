/**
 * Counts of measured times in buckets that grow by the same factor, so that counts of several processes can be added up.
 * Bucket i holds times up to 0.1 ms × 2^(i / 4) and above the bucket before: a percentile is known within a tenth of itself.
 */
const LEAST_MS = 0.1;
const PER_OCTAVE = 4;
/** The last one holds all times above 1.5 hours. */
export const BUCKETS = 104;

/** The bucket of a time. */
export function bucketOf(ms: number): number {
  if (!(ms > LEAST_MS)) return 0;
  return Math.min(BUCKETS - 1, Math.ceil(PER_OCTAVE * Math.log2(ms / LEAST_MS) - 1e-9));
}

/** The middle of a bucket, in ms. */
function middleOf(bucket: number): number {
  return LEAST_MS * 2 ** ((bucket - 0.5) / PER_OCTAVE);
}

export interface Percentiles {
  readonly count: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
}

/** Percentiles of what was counted; null where nothing was. `counts`: by bucket, those at the end may be missing. */
export function percentilesOf(counts: readonly number[]): Percentiles | null {
  const count = counts.reduce((sum, times) => sum + times, 0);
  if (count === 0) return null;
  const below = (share: number): number => {
    let seen = 0;
    for (const [bucket, times] of counts.entries()) {
      seen += times;
      if (seen >= share * count) return middleOf(bucket);
    }
    return middleOf(counts.length - 1);
  };
  return { count, p50Ms: below(0.5), p90Ms: below(0.9), p99Ms: below(0.99) };
}

/** Sums by bucket. */
export function addCounts(all: readonly (readonly number[])[]): readonly number[] {
  const sums = new Array<number>(BUCKETS).fill(0);
  for (const counts of all) {
    for (const [bucket, times] of counts.slice(0, BUCKETS).entries()) sums[bucket] = (sums[bucket] ?? 0) + times;
  }
  return sums;
}
