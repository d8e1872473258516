import { describe, expect, it } from 'vitest';
import type { StepBatch, StepOutput } from '../../../../native/native.ts';
import { conclave, decode, encode } from '../../../../proto/messages.ts';
import { decodeBatch, decodeOutput, encodeBatch, encodeOutput } from '../../../../worker/wire/step-codec.ts';

const sampling = {
  temperature: 0.5,
  topK: 3,
  topP: 0.75,
  minP: 0.125,
  repetitionPenalty: 1.5,
  presencePenalty: 0.25,
  frequencyPenalty: -0.5,
  seed: 2n ** 64n - 1n,
  biasTokens: Int32Array.of(7, 9),
  biasValues: Float32Array.of(1.5, -100),
};

const batch: StepBatch = {
  tokenIds: Int32Array.of(5, 6, 7),
  positions: Int32Array.of(0, 1, 40),
  sequenceOffsets: Int32Array.of(0, 2, 3),
  blockTables: Int32Array.of(3, 1, 2, 9),
  blockOffsets: Int32Array.of(0, 1, 4),
  stateSlots: Int32Array.of(2, 0),
  hidden: new Uint8Array(24).fill(3),
  logits: {
    rows: Int32Array.of(0, 1, 2),
    targets: Int32Array.of(4, -1, -1),
    logprobs: Int32Array.of(0, -1, 2),
    sampling: [null, sampling, null],
    positions: Int32Array.of(1, 2, 41),
    sequenceIndices: Int32Array.of(0, 0, 1),
    promptTokens: [null, Int32Array.of(5, 6), null],
    outputTokens: [null, Int32Array.of(), null],
    filters: [null, Uint32Array.of(5, 2 ** 31), null],
  },
};

describe('step codec', () => {
  it('brings a batch over the wire unchanged', () => {
    const wire = decode(conclave.StepBatch, encode(conclave.StepBatch, encodeBatch(batch)));
    expect(decodeBatch(wire, batch.hidden ?? new Uint8Array())).toEqual(batch);
  });

  it('brings results over the wire unchanged, asked-for log-probabilities or not', () => {
    const output: StepOutput = {
      tokens: Int32Array.of(4, 0, 8),
      logprobs: Float32Array.of(-0.5, Number.NaN, -2),
      topOffsets: Int32Array.of(0, 0, 0, 2),
      topTokens: Int32Array.of(8, 1),
      topLogprobs: Float32Array.of(-2, -3),
    };
    const wire = decode(conclave.SampledRows, encode(conclave.SampledRows, encodeOutput(output)));
    expect(decodeOutput(wire)).toEqual(output);
  });

  it('refuses arrays that are not of 4-byte integers', () => {
    const wire = decode(
      conclave.StepBatch,
      encode(conclave.StepBatch, { ...encodeBatch(batch), positions: Buffer.alloc(5) }),
    );
    expect(() => decodeBatch(wire, new Uint8Array())).toThrow('expected an array of 4-byte integers, got 5 bytes');
  });
});
