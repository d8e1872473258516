import type { LogitsRows, StepBatch, StepOutput } from '../../native/native.ts';

/**
 * Cuts a batch between sequences into at most `parts` micro-batches of about equally many rows. Views, no copies of rows.
 * Every sequence stays whole, so each micro-batch is a batch of its own.
 */
export function splitBatch(batch: StepBatch, parts: number): readonly StepBatch[] {
  const sequences = batch.sequenceOffsets.length - 1;
  const rows = batch.positions.length;
  const cuts = [0];
  for (let part = 1; part < parts; part++) {
    const wanted = Math.round((rows * part) / parts);
    let cut = cuts.at(-1) ?? 0;
    while (cut < sequences && (batch.sequenceOffsets[cut] ?? 0) < wanted) cut++;
    if (cut > (cuts.at(-1) ?? 0) && cut < sequences) cuts.push(cut);
  }
  cuts.push(sequences);
  if (cuts.length === 2) return [batch];
  return cuts.slice(1).map((end, i) => slice(batch, cuts[i] ?? 0, end));
}

function slice(batch: StepBatch, first: number, end: number): StepBatch {
  const firstRow = batch.sequenceOffsets[first] ?? 0;
  const endRow = batch.sequenceOffsets[end] ?? 0;
  const firstBlock = batch.blockOffsets[first] ?? 0;
  const endBlock = batch.blockOffsets[end] ?? 0;
  const rowBytes = (batch.hidden?.byteLength ?? 0) / batch.positions.length;
  return {
    tokenIds: batch.tokenIds.subarray(firstRow, endRow),
    positions: batch.positions.subarray(firstRow, endRow),
    sequenceOffsets: batch.sequenceOffsets.subarray(first, end + 1).map((offset) => offset - firstRow),
    blockTables: batch.blockTables.subarray(firstBlock, endBlock),
    blockOffsets: batch.blockOffsets.subarray(first, end + 1).map((offset) => offset - firstBlock),
    stateSlots: batch.stateSlots.subarray(first, end),
    hidden: batch.hidden === null ? null : batch.hidden.subarray(firstRow * rowBytes, endRow * rowBytes),
    logits: sliceLogits(batch.logits, firstRow, endRow),
  };
}

function sliceLogits(logits: LogitsRows, firstRow: number, endRow: number): LogitsRows {
  const first = lowerBound(logits.rows, firstRow);
  const end = lowerBound(logits.rows, endRow);
  return {
    rows: logits.rows.subarray(first, end).map((row) => row - firstRow),
    targets: logits.targets.subarray(first, end),
    logprobs: logits.logprobs.subarray(first, end),
    sampling: logits.sampling.slice(first, end),
    positions: logits.positions.subarray(first, end),
    sequenceIndices: logits.sequenceIndices.subarray(first, end),
    promptTokens: logits.promptTokens.slice(first, end),
    outputTokens: logits.outputTokens.slice(first, end),
    filters: logits.filters.slice(first, end),
  };
}

function lowerBound(sorted: Int32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Results of consecutive micro-batches as one. */
export function joinOutputs(outputs: readonly StepOutput[]): StepOutput {
  const [first, ...rest] = outputs;
  if (first !== undefined && rest.length === 0) return first;
  const topOffsets = [0];
  for (const output of outputs) {
    const base = topOffsets.at(-1) ?? 0;
    for (const offset of output.topOffsets.subarray(1)) topOffsets.push(base + offset);
  }
  return {
    tokens: Int32Array.from(outputs.flatMap((output) => [...output.tokens])),
    logprobs: Float32Array.from(outputs.flatMap((output) => [...output.logprobs])),
    topOffsets: Int32Array.from(topOffsets),
    topTokens: Int32Array.from(outputs.flatMap((output) => [...output.topTokens])),
    topLogprobs: Float32Array.from(outputs.flatMap((output) => [...output.topLogprobs])),
  };
}
