import type { ExpertRows } from '../../native/native.ts';

/** Rows that go to one target, with only the expert slices that are asked of it. */
export interface RoutedRows {
  readonly target: number;
  readonly rowIndices: Int32Array;
  readonly experts: ExpertRows;
}

/**
 * Splits rows whose replica failed over the targets that `pick` names for each expert slice. Rows keep their order; each
 * goes once to every target that it needs. Copies rows: this is the path of a failure, not of every step.
 */
export function rerouteRows(
  experts: ExpertRows,
  rowIndices: Int32Array,
  pick: (sliceId: number) => number,
): readonly RoutedRows[] {
  const chosen = new Map<number, number>();
  const targetOf = (sliceId: number): number => {
    let target = chosen.get(sliceId);
    if (target === undefined) {
      target = pick(sliceId);
      chosen.set(sliceId, target);
    }
    return target;
  };
  const rowsByTarget = new Map<number, number[]>();
  for (let row = 0; row < experts.rowCount; row++) {
    for (let j = 0; j < experts.topK; j++) {
      const sliceId = experts.topkIds[row * experts.topK + j] ?? -1;
      if (sliceId < 0) continue;
      const target = targetOf(sliceId);
      const rows = rowsByTarget.get(target);
      if (rows === undefined) rowsByTarget.set(target, [row]);
      else if (rows.at(-1) !== row) rows.push(row);
    }
  }
  return [...rowsByTarget].map(([target, rows]) => selectRows(experts, rowIndices, rows, target, targetOf));
}

function selectRows(
  experts: ExpertRows,
  rowIndices: Int32Array,
  rows: readonly number[],
  target: number,
  targetOf: (sliceId: number) => number,
): RoutedRows {
  const { topK } = experts;
  const rowBytes = experts.rows.byteLength / experts.rowCount;
  const selected = new Uint8Array(rows.length * rowBytes);
  const topkIds = new Int32Array(rows.length * topK).fill(-1);
  const topkWeights = new Float32Array(rows.length * topK);
  const indices = new Int32Array(rows.length);
  const grid = new Int32Array(rows.length);
  rows.forEach((row, i) => {
    selected.set(experts.rows.subarray(row * rowBytes, (row + 1) * rowBytes), i * rowBytes);
    indices[i] = rowIndices[row] ?? 0;
    grid[i] = experts.grid[row] ?? 0;
    for (let j = 0; j < topK; j++) {
      const sliceId = experts.topkIds[row * topK + j] ?? -1;
      if (sliceId < 0 || targetOf(sliceId) !== target) continue;
      topkIds[i * topK + j] = sliceId;
      topkWeights[i * topK + j] = experts.topkWeights[row * topK + j] ?? 0;
    }
  });
  return {
    target,
    rowIndices: indices,
    experts: { ...experts, rowCount: rows.length, rows: selected, grid, topkIds, topkWeights },
  };
}
