import { describe, expect, it } from 'vitest';
import { BlockManager } from '../../../../../worker/engine/cache/block-manager.ts';
import { Cache } from '../../../../../worker/engine/cache/cache.ts';
import { SequenceCache } from '../../../../../worker/engine/cache/sequence-cache.ts';
import { StateSlots } from '../../../../../worker/engine/cache/state-slots.ts';

function cacheOf({ blocks = 8, states = null }: { blocks?: number; states?: number | null } = {}): Cache {
  const paged = new BlockManager({ blockCount: blocks, blockSize: 2, caching: true, salt: 3 });
  return new Cache(paged, states === null ? null : new StateSlots(states));
}

function tokens(ids: readonly number[]) {
  return { length: ids.length, reusable: ids.length - 1, tokenAt: (position: number) => ids[position]! };
}

describe('a model without state of fixed size', () => {
  it('reuses what is cached, and gives out no slot', () => {
    const cache = cacheOf();
    const [first, second] = [new SequenceCache(), new SequenceCache()];
    expect(cache.admit(first, tokens([1, 2, 3, 4, 5]), 0)).toBe(0);
    cache.commit(first, tokens([1, 2, 3, 4, 5]), 5);
    expect(cache.admit(second, tokens([1, 2, 3, 4, 6]), 0)).toBe(4);
    expect([first.stateSlot, second.stateSlot, cache.shortestReuse]).toEqual([-1, -1, 2]);
  });

  it('takes nothing where it would leave fewer blocks free than are spared', () => {
    const cache = cacheOf({ blocks: 3 });
    const sequence = new SequenceCache();
    expect(cache.admit(sequence, tokens([1, 2, 3, 4]), 2)).toBeNull();
    expect([sequence.table.count, cache.blocks.freeCount]).toEqual([0, 3]);
    expect(cache.admit(sequence, tokens([1, 2, 3, 4]), 1)).toBe(0);
  });
});

describe('a model with state of fixed size', () => {
  it('gives each sequence a slot of its own and computes every prompt from the start', () => {
    const cache = cacheOf({ states: 2 });
    const [first, second] = [new SequenceCache(), new SequenceCache()];
    expect(cache.admit(first, tokens([1, 2, 3, 4, 5]), 0)).toBe(0);
    cache.commit(first, tokens([1, 2, 3, 4, 5]), 5);
    expect(cache.admit(second, tokens([1, 2, 3, 4, 6]), 0)).toBe(0);
    expect(new Set([first.stateSlot, second.stateSlot])).toEqual(new Set([0, 1]));
    expect(cache.shortestReuse).toBe(Number.POSITIVE_INFINITY);
  });

  it('takes nothing without a free slot, and says when one has become free', () => {
    const cache = cacheOf({ states: 1 });
    const [first, second] = [new SequenceCache(), new SequenceCache()];
    cache.admit(first, tokens([1]), 0);
    const { releases } = cache;
    expect(cache.admit(second, tokens([1]), 0)).toBeNull();
    expect([second.stateSlot, second.table.count, cache.releases]).toEqual([-1, 0, releases]);
    cache.release(first);
    expect([first.stateSlot, cache.releases > releases]).toEqual([-1, true]);
    expect(cache.admit(second, tokens([1]), 0)).toBe(0);
  });

  it('gives the slot back when there are too few blocks', () => {
    const cache = cacheOf({ blocks: 1, states: 1 });
    const sequence = new SequenceCache();
    expect(cache.admit(sequence, tokens([1, 2, 3]), 0)).toBeNull();
    expect(cache.admit(sequence, tokens([1, 2]), 0)).toBe(0);
  });
});
