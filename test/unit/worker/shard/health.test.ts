import { describe, expect, it } from 'vitest';
import { PeerHealth } from '../../../../worker/shard/health.ts';

function healthAt(start = 0): { health: PeerHealth; clock: { now: number } } {
  const clock = { now: start };
  const health = new PeerHealth({ now: () => clock.now, minDeadlineMs: 250, maxDeadlineMs: 10_000 });
  health.recovered();
  return { health, clock };
}

describe('PeerHealth', () => {
  it('is unusable until the first probe succeeds', () => {
    const health = new PeerHealth({ now: () => 0, minDeadlineMs: 250, maxDeadlineMs: 10_000 });
    expect(health.usable).toBe(false);
    expect(health.probeDue).toBe(true);
    expect(health.recovered()).toBe(true);
    expect(health.usable).toBe(true);
  });

  it('waits longer for each further probe of a peer that keeps failing, and forgets after some answers in a row', () => {
    const { health, clock } = healthAt();
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      health.failed();
      const from = clock.now;
      while (!health.probeDue) clock.now += 50;
      waits.push(clock.now - from);
    }
    expect(waits).toEqual([200, 400, 800, 1600, 3200, 5000, 5000]);
    health.recovered();
    for (let i = 0; i < 15; i++) health.answered(1, 1);
    health.failed();
    clock.now += 4_999;
    expect(health.probeDue).toBe(false); // Answers that come between failures are no recovery.
    clock.now += 1;
    expect(health.probeDue).toBe(true);
    health.recovered();
    for (let i = 0; i < 16; i++) health.answered(1, 1);
    health.failed();
    clock.now += 200;
    expect(health.probeDue).toBe(true);
  });

  it('leaves the routes at the third refusal in a row only', () => {
    const { health } = healthAt();
    expect([health.refused(), health.refused()]).toEqual([false, false]);
    health.answered(1, 1);
    expect([health.refused(), health.refused(), health.refused()]).toEqual([false, false, true]);
    expect(health.usable).toBe(false);
  });

  it('gives the largest deadline before the first answer, then eight times the expected time within the bounds', () => {
    const { health } = healthAt();
    expect(health.deadlineMs(1)).toBe(10_000);
    health.answered(2, 1);
    expect(health.deadlineMs(1)).toBe(250);
    // 8 times 2 ms and four deviations of 1 ms a row, for 100 rows.
    expect(health.deadlineMs(100)).toBe(4_800);
    expect(health.deadlineMs(5_000)).toBe(10_000);
  });

  it('does not take the fixed part of the time for time per row', () => {
    const { health } = healthAt();
    for (let i = 0; i < 200; i++) health.answered(10, i % 2 === 0 ? 1 : 31);
    // 10 ms whatever the rows, deviation faded: 8 times 10 ms is below the least deadline.
    expect(health.deadlineMs(16)).toBe(250);
  });

  it('shares work by the inverse of the time per row', () => {
    const fast = healthAt().health;
    const slow = healthAt().health;
    for (let i = 0; i < 100; i++) {
      fast.answered(1, 10);
      slow.answered(4, 10);
    }
    expect(fast.share / slow.share).toBeCloseTo(4, 5);
  });
});
