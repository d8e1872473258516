import type { StepBatch } from '../../native/native.ts';

/** Rows of one sequence in a step: `count` tokens from position `begin`, in the sequence's own cache blocks. */
export interface Rows {
  readonly sequence: number;
  readonly begin: number;
  readonly count: number;
}

/** A step of random tokens; the logits of each sequence's last row are wanted, and the likeliest token is taken. */
export function makeStep(
  rows: readonly Rows[],
  cache: { readonly blockSize: number; readonly blocksPerSequence: number },
  randomToken: () => number,
): StepBatch {
  const positions: number[] = [];
  const sequenceOffsets = [0];
  const blockTables: number[] = [];
  const blockOffsets = [0];
  for (const { sequence, begin, count } of rows) {
    for (let row = 0; row < count; row++) positions.push(begin + row);
    for (let block = 0; block * cache.blockSize < begin + count; block++) {
      blockTables.push(sequence * cache.blocksPerSequence + block);
    }
    sequenceOffsets.push(positions.length);
    blockOffsets.push(blockTables.length);
  }
  const wanted = sequenceOffsets.slice(1).map((offset) => offset - 1);
  const none = wanted.map(() => null);
  return {
    positions: Int32Array.from(positions),
    tokenIds: Int32Array.from(positions, randomToken),
    sequenceOffsets: Int32Array.from(sequenceOffsets),
    blockTables: Int32Array.from(blockTables),
    blockOffsets: Int32Array.from(blockOffsets),
    stateSlots: new Int32Array(rows.length).fill(-1),
    hidden: null,
    logits: {
      rows: Int32Array.from(wanted),
      targets: new Int32Array(wanted.length).fill(-1),
      logprobs: new Int32Array(wanted.length).fill(-1),
      sampling: none,
      positions: Int32Array.from(wanted, (row) => (positions[row] ?? 0) + 1),
      sequenceIndices: new Int32Array(wanted.length),
      promptTokens: none,
      outputTokens: none,
      filters: none,
    },
  };
}
