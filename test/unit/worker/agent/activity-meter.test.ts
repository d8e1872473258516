import { expect, it } from 'vitest';
import { ActivityMeter } from '../../../../worker/agent/activity-meter.ts';
import type { EngineSnapshot, StepReport } from '../../../../worker/engine/run/observer.ts';

const clock = { now: 0 };

function step(executeMs: number, decodeTokens: number, prefillTokens: number): StepReport {
  return { ...{ executeMs, decodeTokens, prefillTokens }, sequences: 1, running: 1, waiting: 0, scheduleMs: 0 };
}

it('says what was done since it said so last, and where the engine stands', () => {
  const meter = new ActivityMeter(() => clock.now);
  const engine = { running: 3, waiting: 1, waitingTokens: 40, kvUsage: 0.25 } as EngineSnapshot;
  for (const elapsedMs of [1, 2, 6]) meter.answered(elapsedMs);
  clock.now += 500;
  meter.stepped(step(200, 7, 0));
  meter.began();
  expect(meter.take(2, engine)).toEqual({
    ...{ dispatchMs: 3, tokensPerSecond: 4, running: 3, waiting: 1, kvCacheUsageRatio: 0.25 },
    ...{ busyRatio: 0.1, waitingTokens: 40, prefillTokensPerSecond: 0 },
  });
  expect(meter.take(2, null)).toEqual({
    ...{ dispatchMs: 0, tokensPerSecond: 0, running: 0, waiting: 0 },
    ...{ busyRatio: 0, waitingTokens: 0, prefillTokensPerSecond: 0 },
  });
});

it('is as busy as the busier of its two kinds of work, counting what overlaps once', () => {
  const meter = new ActivityMeter(() => clock.now);
  clock.now += 400;
  meter.forwarded(300);
  clock.now += 100;
  meter.forwarded(300);
  meter.stepped(step(100, 1, 0));
  expect(meter.take(1, null).busyRatio).toBeCloseTo(0.4, 10);
  expect(meter.busyRatio).toBeCloseTo(0.4, 10);
});

it('keeps the rate of prefill of its latest steps with prompts', () => {
  const meter = new ActivityMeter(() => clock.now);
  const rate = () => meter.take(1, null).prefillTokensPerSecond;
  meter.stepped(step(100, 0, 50));
  expect(rate()).toBeCloseTo(500, 6);
  meter.stepped(step(900, 8, 0));
  expect(rate(), 'steps without prompts say nothing of it').toBeCloseTo(500, 6);
  for (let i = 0; i < 200; i++) meter.stepped(step(100, 0, 100));
  expect(rate()).toBeCloseTo(1_000, -1);
});
