import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ExpertRows } from '../../../../native/native.ts';
import { rerouteRows } from '../../../../worker/shard/reroute.ts';

const HIDDEN_BYTES = 4;

function expertRows(ids: readonly (readonly number[])[]): ExpertRows {
  const topK = ids[0]?.length ?? 0;
  return {
    layer: 3,
    rowCount: ids.length,
    type: 'bf16',
    rows: Uint8Array.from({ length: ids.length * HIDDEN_BYTES }, (_, i) => i % 251),
    grid: Int32Array.from(ids, (_, row) => row - 20),
    topK,
    topkIds: Int32Array.from(ids.flat()),
    topkWeights: Float32Array.from(ids.flat(), (id, i) => id + i / 16),
  };
}

describe('rerouteRows', () => {
  it('sends each row once to every target that it needs', () => {
    const routed = rerouteRows(
      expertRows([
        [0, 1],
        [1, -1],
        [2, 0],
      ]),
      Int32Array.of(5, 6, 9),
      (id) => (id === 1 ? 7 : 4),
    );
    expect(
      routed.map(({ target, rowIndices, experts }) => ({ target, rows: [...rowIndices], ids: [...experts.topkIds] })),
    ).toEqual([
      { target: 4, rows: [5, 9], ids: [0, -1, 2, 0] },
      { target: 7, rows: [5, 6], ids: [-1, 1, 1, -1] },
    ]);
    expect([...(routed[0]?.experts.rows ?? [])]).toEqual([0, 1, 2, 3, 8, 9, 10, 11]);
  });

  it('neither loses nor repeats an (expert, row) pair, and keeps its weight, activations and grid', () => {
    const ids = fc.integer({ min: 1, max: 4 }).chain((topK) =>
      fc.array(fc.array(fc.integer({ min: -1, max: 6 }), { minLength: topK, maxLength: topK }), {
        minLength: 1,
        maxLength: 12,
      }),
    );
    fc.assert(
      fc.property(ids, fc.array(fc.integer({ min: -1, max: 3 }), { minLength: 7, maxLength: 7 }), (rows, targets) => {
        const experts = expertRows(rows);
        const indices = Int32Array.from(rows, (_, i) => i * 2 + 1);
        const seen: string[] = [];
        for (const part of rerouteRows(experts, indices, (id) => targets[id] ?? 0)) {
          for (let r = 0; r < part.experts.rowCount; r++) {
            const row = ((part.rowIndices[r] ?? 0) - 1) / 2;
            expect(part.experts.rows.subarray(r * HIDDEN_BYTES, (r + 1) * HIDDEN_BYTES)).toEqual(
              experts.rows.subarray(row * HIDDEN_BYTES, (row + 1) * HIDDEN_BYTES),
            );
            expect(part.experts.grid[r]).toBe(row - 20);
            for (let j = 0; j < experts.topK; j++) {
              const id = part.experts.topkIds[r * experts.topK + j] ?? -1;
              if (id < 0) continue;
              expect(part.target).toBe(targets[id]);
              expect(part.experts.topkWeights[r * experts.topK + j]).toBe(experts.topkWeights[row * experts.topK + j]);
              seen.push(`${row}/${j}/${id}`);
            }
          }
        }
        const wanted = rows.flatMap((row, r) => row.flatMap((id, j) => (id < 0 ? [] : [`${r}/${j}/${id}`])));
        expect(seen.sort()).toEqual(wanted.sort());
      }),
    );
  });
});
