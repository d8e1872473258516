import { expect, it, vi } from 'vitest';
import type { OperatorShare, RankShard } from '../../../../native/native.ts';
import { conclave, decode, encode, type ModelSpec, type PlacementPlan } from '../../../../proto/messages.ts';
import type { SeatOptions } from '../../../../worker/stage/seat-options.ts';
import { StageHost } from '../../../../worker/stage/stage-host.ts';
import { CacheRefused } from '../../../../worker/wire/cache-claim.ts';

/** Worker "a" is rank 1 of p0, with this share. */
function planOf(epoch: number, share: OperatorShare): PlacementPlan {
  const whole = { begin: 0, end: 1, parts: share.parts };
  const ranks = [
    { worker: 0, share: whole },
    { worker: 1, share },
  ];
  const plan = {
    epoch,
    workers: [{ id: 'lead' }, { id: 'a' }],
    pipelines: [{ id: 'p0', stages: [{ firstLayer: 0, endLayer: 4, ranks }] }],
  };
  return decode(conclave.PlacementPlan, encode(conclave.PlacementPlan, plan));
}

it('refuses the owner by an older plan once a rank is sliced again under the same pipeline, however fresh its cache', async () => {
  const createRankShard = () => Promise.resolve({ close: () => undefined } as RankShard);
  const cold = { release: () => undefined };
  const host = new StageHost({
    workerId: 'a',
    spec: { layers: [] } as unknown as ModelSpec,
    seat: { createRankShard, cold, onProgress: () => undefined } as unknown as SeatOptions, // Of these alone a rank's seat is made.
    holders: () => [],
    onChange: () => undefined,
  });
  const before = { cacheId: 1, cacheFresh: true, cacheEpoch: 4 };
  const halves = planOf(4, { begin: 1, end: 2, parts: 2 });
  host.follow(halves, halves);
  await vi.waitFor(() => expect(host.readyPipelines).toEqual(['p0']));
  const rank = host.rank('p0', before);
  const thirds = planOf(5, { begin: 1, end: 3, parts: 3 });
  host.follow(thirds, halves);
  await vi.waitFor(() => expect(host.readyPipelines).toEqual(['p0']));
  expect(() => host.rank('p0', { ...before, cacheId: 2 })).toThrow(CacheRefused);
  expect(host.rank('p0', { ...before, cacheId: 3, cacheEpoch: 5 })).not.toBe(rank);
  await host.close();
});
