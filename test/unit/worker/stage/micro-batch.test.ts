import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StepBatch } from '../../../../native/native.ts';
import { joinOutputs, splitBatch } from '../../../../worker/stage/micro-batch.ts';

const HIDDEN = 2;

/** A batch of sequences with the given row counts; every sequence wants logits for its last row. */
function batchOf(counts: readonly number[]): StepBatch {
  const offsets = [0];
  for (const count of counts) offsets.push((offsets.at(-1) ?? 0) + count);
  const rows = offsets.at(-1) ?? 0;
  const last = Int32Array.from(counts, (_, i) => (offsets[i + 1] ?? 0) - 1);
  return {
    tokenIds: Int32Array.from({ length: rows }, (_, i) => 100 + i),
    positions: Int32Array.from(counts.flatMap((count) => Array.from({ length: count }, (_, i) => i))),
    sequenceOffsets: Int32Array.from(offsets),
    blockTables: Int32Array.from(counts.flatMap((count, i) => Array.from({ length: Math.ceil(count / 4) }, () => i))),
    blockOffsets: Int32Array.from(
      counts.reduce((all, count) => [...all, (all.at(-1) ?? 0) + Math.ceil(count / 4)], [0]),
    ),
    stateSlots: Int32Array.from(counts, (_, i) => 50 - i),
    hidden: new Uint8Array(Float32Array.from({ length: rows * HIDDEN }, (_, i) => i).buffer),
    logits: {
      rows: last,
      targets: Int32Array.from(counts, () => -1),
      logprobs: Int32Array.from(counts, (_, i) => i % 3),
      sampling: counts.map(() => null),
      positions: Int32Array.from(counts),
      sequenceIndices: Int32Array.from(counts, (_, i) => i),
      promptTokens: counts.map(() => null),
      outputTokens: counts.map(() => null),
      filters: counts.map(() => null),
    },
  };
}

describe('splitBatch', () => {
  it('keeps sequences whole and everything that belongs to them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 4 }),
        (counts, parts) => {
          const batch = batchOf(counts);
          const split = splitBatch(batch, parts);
          expect(split.length).toBeLessThanOrEqual(parts);
          expect(split.flatMap((part) => [...part.tokenIds])).toEqual([...batch.tokenIds]);
          expect(split.flatMap((part) => [...part.positions])).toEqual([...batch.positions]);
          expect(split.flatMap((part) => [...part.blockTables])).toEqual([...batch.blockTables]);
          expect(split.flatMap((part) => [...part.stateSlots])).toEqual([...batch.stateSlots]);
          expect(split.flatMap((part) => [...(part.hidden ?? [])])).toEqual([...(batch.hidden ?? [])]);
          for (const part of split) {
            expect(part.sequenceOffsets[0]).toBe(0);
            expect(part.sequenceOffsets.at(-1)).toBe(part.positions.length);
            expect(part.blockOffsets.at(-1)).toBe(part.blockTables.length);
            expect(part.stateSlots.length).toBe(part.sequenceOffsets.length - 1);
            // The wanted rows are still the last of each sequence.
            expect([...part.logits.rows]).toEqual([...part.sequenceOffsets.subarray(1)].map((end) => end - 1));
          }
          expect(split.flatMap((part) => [...part.logits.sequenceIndices])).toEqual([...batch.logits.sequenceIndices]);
        },
      ),
    );
  });

  it('cuts equal sequences in halves', () => {
    expect(splitBatch(batchOf([4, 4, 4, 4]), 2).map((part) => part.positions.length)).toEqual([8, 8]);
  });

  it('leaves one sequence alone', () => {
    expect(splitBatch(batchOf([64]), 2)).toHaveLength(1);
  });
});

describe('joinOutputs', () => {
  it('keeps each row with its alternatives', () => {
    const output = (token: number, tops: readonly number[]) => ({
      tokens: Int32Array.of(token),
      logprobs: Float32Array.of(-token),
      topOffsets: Int32Array.of(0, tops.length),
      topTokens: Int32Array.from(tops),
      topLogprobs: Float32Array.from(tops, (top) => -top),
    });
    const joined = joinOutputs([output(1, [1, 2]), output(3, []), output(4, [4])]);
    expect([...joined.tokens]).toEqual([1, 3, 4]);
    expect([...joined.topOffsets]).toEqual([0, 2, 2, 3]);
    expect([...joined.topTokens]).toEqual([1, 2, 4]);
  });
});
