import { expect, it } from 'vitest';
import { ActivityMeter } from '../../../../worker/agent/activity-meter.ts';
import type { EngineSnapshot } from '../../../../worker/engine/run/observer.ts';

it('says what was done since it said so last, and where the engine stands', () => {
  const meter = new ActivityMeter();
  const engine = { running: 3, waiting: 1, kvUsage: 0.25 } as EngineSnapshot;
  for (const elapsedMs of [1, 2, 6]) meter.answered(elapsedMs);
  meter.generated(7);
  meter.generated(1);
  expect(meter.take(2, engine)).toEqual({
    ...{ dispatchMs: 3, tokensPerSecond: 4, running: 3, waiting: 1, kvCacheUsageRatio: 0.25 },
  });
  expect(meter.take(2, null)).toEqual({ dispatchMs: 0, tokensPerSecond: 0, running: 0, waiting: 0 });
});
