import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { addCounts, BUCKETS, bucketOf, percentilesOf } from '../../../../../controller/gateway/latency/histogram.ts';
import { LatencyMeter } from '../../../../../controller/gateway/latency/latency-meter.ts';
import { LatencyWindow } from '../../../../../controller/gateway/latency/latency-window.ts';
import type { RequestObserver } from '../../../../../controller/gateway/observer.ts';

function countsOf(times: readonly number[]): readonly number[] {
  const counts = new Array<number>(BUCKETS).fill(0);
  for (const ms of times) counts[bucketOf(ms)]! += 1;
  return counts;
}

describe('percentilesOf', () => {
  it('gives percentiles of what was measured within a tenth of their value', () => {
    const time = fc.double({ min: 0.2, max: 3_600_000, noNaN: true });
    fc.assert(
      fc.property(fc.array(time, { minLength: 1, maxLength: 300 }), (times) => {
        const sorted = times.toSorted((a, b) => a - b);
        const exact = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1]!;
        const found = percentilesOf(countsOf(times))!;
        expect(found.count).toBe(times.length);
        for (const [share, ms] of [
          [0.5, found.p50Ms],
          [0.9, found.p90Ms],
          [0.99, found.p99Ms],
        ] as const) {
          expect(Math.abs(ms / exact(share) - 1)).toBeLessThan(0.1);
        }
      }),
    );
  });

  it('knows nothing of nothing, and takes any time without growing', () => {
    expect(percentilesOf([])).toBeNull();
    expect(percentilesOf([0, 0])).toBeNull();
    for (const ms of [0, -1, Number.NaN, 1e-9]) expect(bucketOf(ms)).toBe(0);
    for (const ms of [1e12, Number.POSITIVE_INFINITY]) expect(bucketOf(ms)).toBe(BUCKETS - 1);
  });

  it('is the same over counts of several that are added up', () => {
    const [one, other] = [
      [5, 7, 9],
      [100, 200],
    ];
    expect(percentilesOf(addCounts([countsOf(one), countsOf(other)]))).toEqual(
      percentilesOf(countsOf([...one, ...other])),
    );
    // A report from elsewhere may have more buckets than there are.
    expect(addCounts([new Array<number>(10_000).fill(1)])).toHaveLength(BUCKETS);
  });
});

describe('a latency window', () => {
  it('sums up the last minute over all who reported', () => {
    let now = 0;
    const window = new LatencyWindow(() => now);
    expect(window.summary()).toBeNull();
    const counts = { timeToFirstToken: countsOf([40]), interToken: countsOf([10, 10]), queueTime: countsOf([1]) };
    window.add(counts);
    now = 30_000;
    window.add({ ...counts, queueTime: [] });
    expect(window.summary()).toMatchObject({
      timeToFirstToken: { count: 2 },
      interToken: { count: 4 },
      queueTime: { count: 1 },
    });
    now = 61_000;
    expect(window.summary()).toMatchObject({ timeToFirstToken: { count: 1 }, queueTime: null });
    now = 91_000;
    expect(window.summary()).toBeNull();
  });
});

describe('a latency meter', () => {
  it('passes on what it sees, and counts each token of a step', () => {
    const observer = Object.fromEntries(
      [
        'onStarted',
        'onFirstToken',
        'onTokens',
        'onSequenceEnded',
        'onFinished',
        'onFailed',
        'onRetried',
        'onResumed',
      ].map((name) => [name, vi.fn<() => void>()]),
    ) as unknown as RequestObserver;
    const meter = new LatencyMeter();
    const watched = meter.observe(observer);
    expect(meter.take()).toBeNull();
    watched.onStarted(2, 5, 0);
    watched.onFirstToken(40, 2);
    watched.onTokens(1, null);
    watched.onTokens(3, 30);
    watched.onFailed('overloaded');
    expect(observer.onStarted).toHaveBeenCalledWith(2, 5, 0);
    expect(observer.onFirstToken).toHaveBeenCalledWith(40, 2);
    expect(observer.onTokens).toHaveBeenLastCalledWith(3, 30);
    expect(observer.onFailed).toHaveBeenCalledWith('overloaded');
    expect(meter.tokens).toBe(4);
    const taken = meter.take()!;
    expect(percentilesOf(taken.timeToFirstToken)?.count).toBe(1);
    expect(percentilesOf(taken.queueTime)?.count).toBe(1);
    const gaps = percentilesOf(taken.interToken)!;
    expect(gaps.count).toBe(3);
    expect(gaps.p50Ms).toBeGreaterThan(9);
    expect(gaps.p50Ms).toBeLessThan(11);
    expect(meter.take()).toBeNull();
  });
});
