import { describe, expect, it } from 'vitest';
import type { ExpertBank, ExpertRows, ExpertSlot } from '../../../../native/native.ts';
import { ColdExperts } from '../../../../worker/shard/cold-experts.ts';

/** Bytes of one slot. */
const SLOT = 10;

function rig(budgetBytes = Number.POSITIVE_INFINITY) {
  const held = new Set<number>();
  const loads: number[][] = [];
  let failing = false;
  let blocked: Promise<void> = Promise.resolve();
  const bank: ExpertBank = {
    load: async (slots) => {
      loads.push(slots.map(({ expert }) => expert));
      await Promise.resolve();
      if (failing) throw new Error('bad disk');
      for (const { expert } of slots) held.add(expert);
      return slots.map((slot) => ({ ...slot, checksum: 0, bytes: SLOT }));
    },
    unload: (slots) => {
      for (const { expert } of slots) held.delete(expert);
    },
    has: ({ expert }) => held.has(expert),
    forward: async ({ topkIds }) => {
      await blocked;
      for (const id of topkIds) if (!held.has(id)) throw new Error(`expert ${id} is not here`);
      return { type: 'i24', partial: Uint8Array.from(topkIds) };
    },
    get slotCount() {
      return held.size;
    },
    get bytes() {
      return held.size * SLOT;
    },
    close: () => undefined,
  };
  const reported: ExpertSlot[] = [];
  const cold = new ColdExperts(
    bank,
    () => budgetBytes,
    (slots) => reported.push(...slots),
  );
  const rows = (...experts: readonly number[]): ExpertRows => ({
    ...{ layer: 0, rowCount: 1, type: 'f32', rows: new Uint8Array(4), grid: new Int32Array(1) },
    ...{ topK: experts.length, topkIds: Int32Array.from(experts), topkWeights: new Float32Array(experts.length) },
  });
  const forward = (...experts: readonly number[]) => cold.forward(rows(...experts), 1);
  return {
    ...{ cold, held, loads, reported, forward },
    fail: (yes: boolean) => {
      failing = yes;
    },
    /** Computations wait until the returned function is called. */
    block: (): (() => void) => {
      let go: () => void = () => undefined;
      blocked = new Promise((resolve) => {
        go = resolve;
      });
      return go;
    },
  };
}

describe('ColdExperts', () => {
  it('loads an expert once, however many need it at the same time', async () => {
    const { forward, loads, reported } = rig();
    await Promise.all([forward(1, 2), forward(2, 3), forward(1)]);
    await forward(3);
    expect(loads).toEqual([[1, 2], [3]]);
    expect(reported.map(({ expert }) => expert)).toEqual([1, 2, 3]);
  });

  it('frees what replicas answer for again, but nothing that is computed with', async () => {
    const { cold, forward, held, block } = rig();
    await forward(1, 2);
    const go = block();
    const running = forward(2);
    const loading = forward(4);
    cold.release(() => true);
    expect([...held]).toEqual([2]);
    go();
    await Promise.all([running, loading]);
    cold.release(({ expert }) => expert === 2);
    expect([...held]).toEqual([4]);
    expect(cold.size).toBe(1);
  });

  it('keeps within its budget: those used longest ago make room', async () => {
    const { forward, held, loads } = rig(2 * SLOT);
    await forward(1);
    await forward(2);
    await forward(1);
    await forward(3);
    expect([...held].sort((a, b) => a - b)).toEqual([1, 3]);
    await forward(2);
    expect([...held].sort((a, b) => a - b)).toEqual([2, 3]);
    expect(loads).toEqual([[1], [2], [3], [2]]);
  });

  it('computes what does not fit at all, one after the other', async () => {
    const { forward, held } = rig(0);
    expect([...(await forward(1, 2, 3)).partial]).toEqual([1, 2, 3]);
    expect(held.size).toBe(0);
  });

  it('tries again to load what could not be loaded', async () => {
    const { cold, forward, fail } = rig();
    fail(true);
    await expect(forward(1)).rejects.toThrow('bad disk');
    expect(cold.size).toBe(0);
    fail(false);
    expect([...(await forward(1)).partial]).toEqual([1]);
  });
});
