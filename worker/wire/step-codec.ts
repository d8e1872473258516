/**
 * A micro-batch and its results on the wire between stages. Integer arrays travel as little-endian bytes; what comes in is
 * checked for shape before native code sees it.
 */
import type { LogitsRows, NativeSampling, StepBatch, StepOutput } from '../../native/native.ts';
import type { LogitsRow__Output as LogitsRow } from '../../proto/generated/conclave/v1/LogitsRow.ts';
import type { SampledRows, SampledRows__Output } from '../../proto/generated/conclave/v1/SampledRows.ts';
import type { SamplingParams, SamplingParams__Output } from '../../proto/generated/conclave/v1/SamplingParams.ts';
import type {
  StepBatch as WireBatch,
  StepBatch__Output as WireBatch__Output,
} from '../../proto/generated/conclave/v1/StepBatch.ts';
import { eachSamplingParameter } from '../../proto/sampling-parameters.ts';

export function encodeBatch(batch: StepBatch): WireBatch {
  return {
    tokenIds: toBytes(batch.tokenIds),
    positions: toBytes(batch.positions),
    sequenceOffsets: toBytes(batch.sequenceOffsets),
    blockTables: toBytes(batch.blockTables),
    blockOffsets: toBytes(batch.blockOffsets),
    stateSlots: toBytes(batch.stateSlots),
    logitsRows: Array.from(batch.logits.rows, (row, i) => encodeRow(batch.logits, row, i)),
  };
}

/** `hidden`: residual stream that came with the batch, f32 [rows, hidden size]. */
export function decodeBatch(batch: WireBatch__Output, hidden: Uint8Array): StepBatch {
  return {
    tokenIds: toInt32(batch.tokenIds),
    positions: toInt32(batch.positions),
    sequenceOffsets: toInt32(batch.sequenceOffsets),
    blockTables: toInt32(batch.blockTables),
    blockOffsets: toInt32(batch.blockOffsets),
    stateSlots: toInt32(batch.stateSlots),
    hidden,
    logits: decodeRows(batch.logitsRows),
  };
}

export function encodeOutput(output: StepOutput): SampledRows {
  return {
    rows: Array.from(output.tokens, (tokenId, i) => {
      const tops = [output.topOffsets[i] ?? 0, output.topOffsets[i + 1] ?? 0] as const;
      return {
        ...(tokenId >= 0 && { tokenId }),
        logprob: output.logprobs[i] ?? Number.NaN,
        topTokenIds: [...output.topTokens.subarray(...tops)],
        topLogprobs: [...output.topLogprobs.subarray(...tops)],
      };
    }),
  };
}

export function decodeOutput({ rows }: SampledRows__Output): StepOutput {
  const topOffsets = new Int32Array(rows.length + 1);
  rows.forEach((row, i) => {
    topOffsets[i + 1] = (topOffsets[i] ?? 0) + row.topTokenIds.length;
  });
  return {
    tokens: Int32Array.from(rows, (row) => row.tokenId ?? -1),
    logprobs: Float32Array.from(rows, (row) => row.logprob),
    topOffsets,
    topTokens: Int32Array.from(rows.flatMap((row) => row.topTokenIds)),
    topLogprobs: Float32Array.from(rows.flatMap((row) => row.topLogprobs)),
  };
}

function encodeRow(
  logits: LogitsRows,
  row: number,
  i: number,
): Omit<LogitsRow, 'sampling'> & { sampling: SamplingParams | null } {
  const target = logits.targets[i] ?? -1;
  const logprobs = logits.logprobs[i] ?? -1;
  const sampling = logits.sampling[i] ?? null;
  return {
    row,
    ...(logprobs >= 0 && { logprobs }),
    ...(target >= 0 && { targetTokenId: target }),
    sampling: sampling === null ? null : encodeSampling(sampling),
    position: logits.positions[i] ?? 0,
    sequenceIndex: logits.sequenceIndices[i] ?? 0,
    promptTokenIds: toBytes(logits.promptTokens[i] ?? new Int32Array(0)),
    outputTokenIds: toBytes(logits.outputTokens[i] ?? new Int32Array(0)),
    allowedTokens: maskBytes(logits, i),
  };
}

/** Filters stay with the first stage: what they say travels. */
function maskBytes({ filters }: LogitsRows, i: number): Buffer {
  const mask = filters[i] ?? null;
  if (mask === null) return Buffer.alloc(0);
  if (mask instanceof Uint32Array) return Buffer.from(mask.buffer, mask.byteOffset, mask.byteLength);
  throw new TypeError('a filter of a sequence cannot be sent to another worker: its mask can');
}

function encodeSampling(sampling: NativeSampling): SamplingParams {
  const { biasTokens, biasValues, seed, ...plain } = sampling;
  const logitBias = Object.fromEntries(Array.from(biasTokens, (token, i) => [token, biasValues[i] ?? 0]));
  return { ...plain, seed: String(seed), logitBias };
}

function decodeRows(rows: readonly LogitsRow[]): LogitsRows {
  return {
    rows: Int32Array.from(rows, (row) => row.row),
    targets: Int32Array.from(rows, (row) => row.targetTokenId ?? -1),
    logprobs: Int32Array.from(rows, (row) => row.logprobs ?? -1),
    sampling: rows.map((row) => (row.sampling === null ? null : decodeSampling(row.sampling))),
    positions: Int32Array.from(rows, (row) => row.position),
    sequenceIndices: Int32Array.from(rows, (row) => row.sequenceIndex),
    promptTokens: rows.map((row) => (hasPenalty(row.sampling) ? toInt32(row.promptTokenIds) : null)),
    outputTokens: rows.map((row) => (hasPenalty(row.sampling) ? toInt32(row.outputTokenIds) : null)),
    filters: rows.map(({ allowedTokens }) =>
      allowedTokens.length === 0 ? null : new Uint32Array(toInt32(allowedTokens).buffer),
    ),
  };
}

function decodeSampling(sampling: SamplingParams__Output): NativeSampling {
  const bias = Object.entries(sampling.logitBias);
  return {
    ...eachSamplingParameter(({ neutral }, key) => sampling[key] ?? neutral),
    seed: BigInt(sampling.seed ?? 0),
    biasTokens: Int32Array.from(bias, ([token]) => Number(token)),
    biasValues: Float32Array.from(bias, ([, value]) => value),
  };
}

function hasPenalty(sampling: SamplingParams__Output | null): boolean {
  if (sampling === null) return false;
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = sampling;
  return repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
}

function toBytes(array: Int32Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

function toInt32(bytes: Uint8Array): Int32Array {
  if (bytes.byteLength % 4 !== 0) {
    throw new RangeError(`expected an array of 4-byte integers, got ${bytes.byteLength} bytes`);
  }
  const copy = new Uint8Array(bytes); // Starts at a multiple of 4, as Int32Array needs.
  return new Int32Array(copy.buffer);
}
