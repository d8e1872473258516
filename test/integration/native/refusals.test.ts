import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadNative } from '../../../native/load.ts';
import type { ExpertRows, ExpertSlot, RankShard, SequenceRows, StepBatch } from '../../../native/native.ts';
import { expertCount } from '../../../proto/model/operators.ts';
import { goldenFolder } from '../../e2e/golden.ts';
import { localRun, type Model, openModel, score, stepBatch, wholeStage } from './model.ts';
import { expertRoute } from './shards.ts';

// What callers could get wrong is refused with INVALID_ARGUMENT and a message that names the field, the value and what was
// expected; nothing of it reads or writes outside of the caller's arrays.

const native = loadNative();
const hidden = 64;
const vocab = 320;
let model: Model;
let rank: RankShard;

beforeAll(async () => {
  model = await openModel(native, goldenFolder('qwen2_moe'));
  rank = await native.createRankShard(model.runtime, model.store, wholeStage(model.spec), null);
});
afterAll(() => {
  rank.close();
  model.close();
});

const tokens = [5, 6, 7, 8, 9, 10];
const good = (): StepBatch =>
  stepBatch([
    { tokens, begin: 0, end: 6, blocks: [3, 1], wanted: [{ position: 5, target: null }] },
    { tokens, begin: 0, end: 3, blocks: [2], wanted: [{ position: 1, target: 7 }] },
  ]);

const sampling = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  seed: 1n,
  biasTokens: new Int32Array(),
  biasValues: new Float32Array(),
};

function withLogits(change: object): object {
  return { logits: { ...good().logits, ...change } };
}

function withSampling(change: object): object {
  return withLogits({ sampling: [{ ...sampling, ...change }, null] });
}

function withHistory(change: object, history: object): object {
  return withLogits({ sampling: [{ ...sampling, ...change }, null], ...history });
}

function detached(): Int32Array {
  const array = Int32Array.from([0, 1, 2, 3, 4, 5, 0, 1, 2]);
  structuredClone(array, { transfer: [array.buffer] });
  return array;
}

const batches: readonly (readonly [string, object, RegExp])[] = [
  ['no positions', { positions: undefined }, /batch\.positions: expected Int32Array, got undefined/],
  ['a plain array', { positions: [0, 1] }, /batch\.positions: expected Int32Array, got array of 2/],
  [
    'the wrong element type',
    { tokenIds: new Float32Array(9) },
    /batch\.tokenIds: expected Int32Array, got Float32Array/,
  ],
  ['a detached array', { positions: detached() }, /batch\.positions: expected at least one row/],
  ['too few tokens', { tokenIds: new Int32Array(8) }, /batch\.tokenIds: expected 9 entries.*got 8/],
  [
    'a token beyond the vocabulary',
    { tokenIds: new Int32Array(9).fill(vocab) },
    /tokenIds\[0\]: expected 0 to 319, got 320/,
  ],
  ['a negative token', { tokenIds: new Int32Array(9).fill(-1) }, /tokenIds\[0\]: expected 0 to 319, got -1/],
  ['a position beyond the blocks', { positions: Int32Array.of(3, 4, 5, 6, 7, 8, 0, 1, 2) }, /positions\[5\].*got 8/],
  ['a negative position', { positions: Int32Array.of(-1, 0, 1, 2, 3, 4, 0, 1, 2) }, /positions\[0\].*got -1/],
  [
    'positions with a gap',
    { positions: Int32Array.of(0, 1, 2, 4, 5, 6, 0, 1, 2) },
    /positions\[3\]: expected 3.*got 4/,
  ],
  ['offsets that end early', { sequenceOffsets: Int32Array.of(0, 6, 8) }, /sequenceOffsets\[2\]: expected 9, got 8/],
  [
    'offsets that fall',
    { sequenceOffsets: Int32Array.of(0, 10, 9) },
    /sequenceOffsets\[2\]: expected at least 11, got 9/,
  ],
  ['offsets that start late', { sequenceOffsets: Int32Array.of(1, 6, 9) }, /sequenceOffsets\[0\]: expected 0, got 1/],
  [
    'an empty sequence',
    { sequenceOffsets: Int32Array.of(0, 0, 9) },
    /sequenceOffsets\[1\]: expected at least 1, got 0/,
  ],
  ['no offsets', { sequenceOffsets: new Int32Array() }, /sequenceOffsets: expected at least 2 entries, got 0/],
  ['block offsets of another length', { blockOffsets: Int32Array.of(0, 3) }, /blockOffsets: expected 3 entries, got 2/],
  ['block offsets beyond the table', { blockOffsets: Int32Array.of(0, 2, 4) }, /blockOffsets\[2\]: expected 3, got 4/],
  ['no state slots', { stateSlots: new Int32Array() }, /stateSlots: expected 2 entries, one per sequence, got 0/],
  [
    'a state where none is kept',
    { stateSlots: Int32Array.of(-1, 0) },
    /stateSlots\[1\]: expected -1 where no states are kept, got 0/,
  ],
  [
    'a block beyond the cache',
    { blockTables: Int32Array.of(3, 192, 2) },
    /blockTables\[1\]: expected 0 to 191, got 192/,
  ],
  ['a negative block', { blockTables: Int32Array.of(3, -1, 2) }, /blockTables\[1\]: expected 0 to 191, got -1/],
  [
    'two sequences that write to one block',
    { blockTables: Int32Array.of(3, 1, 3) },
    /block 3 is written through entry 0 too/,
  ],
  ['a residual stream at the first stage', { hidden: new Uint8Array(9 * hidden * 4) }, /batch\.hidden: expected null/],
  ['no logits', { logits: null }, /batch\.logits: expected an object, got null/],
  ['a wanted row beyond the batch', withLogits({ rows: Int32Array.of(5, 9) }), /logits\.rows.*entry 1.*got 9/],
  ['wanted rows out of order', withLogits({ rows: Int32Array.of(7, 5) }), /logits\.rows.*entry 1.*got 5/],
  ['wanted rows twice', withLogits({ rows: Int32Array.of(5, 5) }), /logits\.rows.*entry 1.*got 5/],
  [
    'a column that is too short',
    withLogits({ targets: Int32Array.of(1) }),
    /logits\.targets: expected 2 entries.*got 1/,
  ],
  ['too little sampling', withLogits({ sampling: [null] }), /logits\.sampling: expected 2 entries.*got 1/],
  ['a target beyond the vocabulary', withLogits({ targets: Int32Array.of(-1, vocab) }), /logits\.targets.*got 320/],
  ['more alternatives than tokens', withLogits({ logprobs: Int32Array.of(1, vocab + 1) }), /logits\.logprobs.*got 321/],
  ['a negative sequence index', withLogits({ sequenceIndices: Int32Array.of(0, -1) }), /sequenceIndices.*got -1/],
  [
    'a prompt token beyond the vocabulary',
    withHistory({ repetitionPenalty: 2 }, { promptTokens: [Int32Array.of(vocab), null] }),
    /promptTokens of entry 0.*got 320/,
  ],
  [
    'a negative output token',
    withHistory({ presencePenalty: 1 }, { outputTokens: [Int32Array.of(0, -1), null] }),
    /outputTokens of entry 0.*got -1/,
  ],
  [
    'a history that is a plain array',
    withHistory({ frequencyPenalty: 1 }, { outputTokens: [[1, 2], null] }),
    /logits\.outputTokens\[0\]: expected Int32Array, got array of 2/,
  ],
  ['topP 0', withSampling({ topP: 0 }), /topP of entry 0.*got 0/],
  [
    'an infinite temperature',
    withSampling({ temperature: Number.POSITIVE_INFINITY }),
    /temperature of entry 0.*got inf/,
  ],
  [
    'an infinite bias',
    withSampling({ biasTokens: Int32Array.of(1), biasValues: Float32Array.of(Number.NEGATIVE_INFINITY) }),
    /biasValues of entry 0.*got -inf/,
  ],
  ['a negative temperature', withSampling({ temperature: -1 }), /temperature of entry 0.*got -1/],
  ['a temperature that is no number', withSampling({ temperature: Number.NaN }), /temperature of entry 0.*got nan/],
  ['a temperature that is a string', withSampling({ temperature: '1' }), /temperature: expected a number, got "1"/],
  ['topP above 1', withSampling({ topP: 1.5 }), /topP of entry 0.*got 1.5/],
  ['a fractional topK', withSampling({ topK: 1.5 }), /topK: expected an integer.*got 1.5/],
  [
    'a seed of 2^64',
    withSampling({ seed: 2n ** 64n }),
    /seed: expected a bigint from 0 to 18446744073709551615, got 18446744073709551616/,
  ],
  ['a seed below 0', withSampling({ seed: -1n }), /seed: expected a bigint.*got -1/],
  ['a seed that is a number', withSampling({ seed: 1 }), /seed: expected a bigint.*got 1/],
  ['a repetition penalty of 0', withSampling({ repetitionPenalty: 0 }), /repetitionPenalty of entry 0.*got 0/],
  ['an infinite penalty', withSampling({ presencePenalty: Number.POSITIVE_INFINITY }), /presencePenalty.*got inf/],
  ['bias without values', withSampling({ biasTokens: Int32Array.of(1) }), /biasValues.*expected 1, got 0/],
  [
    'bias of a token beyond the vocabulary',
    withSampling({ biasTokens: Int32Array.of(vocab), biasValues: Float32Array.of(1) }),
    /biasTokens.*got 320/,
  ],
];

describe('a batch', () => {
  test.each(batches)('with %s is refused', async (_, change, message) => {
    const refusal = model.stage.begin({ ...good(), ...change });
    await expect(refusal).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
  });

  test.each([undefined, null, 7, 'batch', () => 0])('that is %s is refused', async (batch) => {
    const refusal = model.stage.begin(batch as unknown as StepBatch);
    await expect(refusal).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('whose fields throw rejects with what they throw', async () => {
    const batch = new Proxy(good(), {
      get: () => {
        throw new RangeError('from a getter');
      },
    });
    await expect(model.stage.begin(batch)).rejects.toThrow('from a getter');
  });

  test('that was good is still good after all the refusals', async () => {
    const progress = await model.stage.begin(good());
    expect(progress.kind).toBe('output');
  });

  test('of random numbers gives an output or a coded error', async () => {
    const ints = (least: number, most: number, size: number) =>
      fc.array(fc.integer({ min: least, max: most }), { maxLength: size }).map((list) => Int32Array.from(list));
    const arbitrary = fc.record({
      positions: fc.oneof(fc.constant(good().positions), ints(-2, 12, 12)),
      tokenIds: fc.oneof(fc.constant(good().tokenIds), ints(-1, vocab, 12)),
      sequenceOffsets: fc.oneof(fc.constant(good().sequenceOffsets), ints(-1, 12, 4)),
      blockTables: fc.oneof(fc.constant(good().blockTables), ints(-1, 192, 4)),
      blockOffsets: fc.oneof(fc.constant(good().blockOffsets), ints(-1, 6, 4)),
      stateSlots: fc.oneof(fc.constant(good().stateSlots), ints(-2, 2, 4)),
      rows: ints(-1, 10, 2).filter(({ length }) => length === 2),
      targets: ints(-2, vocab, 2).filter(({ length }) => length === 2),
    });
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ rows, targets, ...where }) => {
        const batch = { ...good(), ...where, logits: { ...good().logits, rows, targets } };
        try {
          expect((await model.stage.begin(batch)).kind).toBe('output');
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
        }
      }),
      { numRuns: 500 },
    );
  });
});

const rows = (): ExpertRows => ({
  layer: 1,
  rowCount: 2,
  type: 'f32',
  rows: new Uint8Array(2 * hidden * 4),
  grid: Int32Array.of(-20, -21),
  topK: 2,
  topkIds: Int32Array.of(0, 7, -1, 3),
  topkWeights: Float32Array.of(0.5, 0.5, 0, 1),
});

describe('expert rows', () => {
  test.each<readonly [string, object, RegExp]>([
    ['a layer that is not there', { layer: 3 }, /layer: expected 0 to 2, got 3/],
    ['a negative layer', { layer: -1 }, /layer: expected 0 to 2, got -1/],
    ['too few bytes', { rows: new Uint8Array(2 * hidden * 4 - 1) }, /rows: expected 512 bytes.*got 511/],
    ['bytes of another type', { type: 'bf16' }, /rows: expected 256 bytes.*got 512/],
    ['too few exponents', { grid: Int32Array.of(-20) }, /grid: expected 2 entries, one per row, got 1/],
    ['a grid out of range', { grid: Int32Array.of(-20, 161) }, /grid\[1\]: expected -160 to 160, got 161/],
    ['an unknown type', { type: 'f16' }, /rows\.type: expected f32 or bf16, got "f16"/],
    ['an expert that is not there', { topkIds: Int32Array.of(0, 8, -1, 3) }, /topkIds\[1\]: expected -1 to 7, got 8/],
    ['an expert below -1', { topkIds: Int32Array.of(0, -2, -1, 3) }, /topkIds\[1\]: expected -1 to 7, got -2/],
    ['too few experts', { topkIds: Int32Array.of(0) }, /topkIds, topkWeights: expected 4 entries, got 1 and 4/],
    ['a weight that is no number', { topkWeights: new Float32Array(4).fill(Number.NaN) }, /topkWeights\[0\].*got nan/],
    [
      'no rows',
      { rowCount: 0, rows: new Uint8Array(), topkIds: new Int32Array(), topkWeights: new Float32Array() },
      /rowCount/,
    ],
    ['more rows than bytes', { rowCount: 2 ** 31 - 1 }, /rows: expected 549755813632 bytes/],
  ])('with %s are refused', async (_, change, message) => {
    const refusal = model.bank.forward({ ...rows(), ...change });
    await expect(refusal).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
  });

  test('of slots that are not loaded are refused by name', async () => {
    const bank = native.createExpertBank(model.runtime, model.store);
    await bank.load([{ layer: 1, expert: 0, slice: 0, slices: 1 }], null);
    await expect(bank.forward(rows())).rejects.toMatchObject({
      code: 'SLOT_NOT_LOADED',
      message: expect.stringMatching(/layer 1 expert 3 slice 0 of 1/),
    });
    bank.close();
  });
});

describe('slots', () => {
  test.each<readonly [string, Partial<ExpertSlot>, RegExp]>([
    ['layer 3 of 3', { layer: 3 }, /layer: expected 0 to 2, got 3/],
    ['expert 8 of 8', { expert: 8 }, /slots\[0\]\.expert: expected 0 to 7, got 8/],
    ['slice 1 of 1', { slice: 1 }, /slots\[0\]\.slice: expected 0 to 0, got 1/],
    ['more slices than elements', { slices: 33 }, /slots\[0\]\.slices: expected 1 to 32, got 33/],
    ['a cut that differs from what is loaded', { slices: 2 }, /slots\[0\]\.slices: layer 0 is cut into 1, got 2/],
    ['half an expert', { expert: 0.5 }, /slots\[0\]\.expert: expected an integer/],
  ])('with %s are refused', async (_, change, message) => {
    const slots = [{ layer: 0, expert: 0, slice: 0, slices: 1, ...change }];
    const refusal = model.bank.load(slots, null);
    await expect(refusal).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
  });
});

describe('a rank shard', () => {
  const where: SequenceRows = good();
  const nine: ExpertRows = {
    ...{ layer: 0, rowCount: 9, type: 'f32', rows: new Uint8Array(9 * hidden * 4), grid: new Int32Array(9) },
    ...{ topK: 0, topkIds: new Int32Array(), topkWeights: new Float32Array() },
  };
  const eight = { rowCount: 8, rows: new Uint8Array(8 * hidden * 4), grid: new Int32Array(8) };

  test.each<readonly [string, () => Promise<unknown>, RegExp]>([
    [
      'half a row',
      () => rank.attention({ ...nine, rows: nine.rows.subarray(1) }, where),
      /rows: expected 2304 bytes .*, got 2303/,
    ],
    ['rows without a grid', () => rank.ffn({ ...nine, grid: new Int32Array(8) }, null), /grid: expected 9 entries/],
    ['rows without positions', () => rank.attention({ ...nine, ...eight }, where), /where\.positions: expected 8/],
    [
      'a block beyond its cache',
      () => rank.attention(nine, { ...where, blockTables: Int32Array.of(1, 192, 2) }),
      /where\.blockTables\[1\]/,
    ],
    ['a layer that it does not hold', () => rank.ffn({ ...nine, layer: 3 }, null), /layer: expected 0 to 2, got 3/],
    ['no rows', () => rank.ffn({ ...nine, rowCount: 0 }, null), /rowCount: expected at least 1, got 0/],
    ['experts without a bank', () => rank.ffn({ ...nine, topK: 1 }, null), /bank: expected a bank/],
  ])('refuses %s', async (_, call, message) => {
    await expect(call()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
  });

  test.each<readonly [string, object, RegExp]>([
    ['parts that are not there', { share: { begin: 0, end: 3, parts: 2 } }, /share: expected .*, got 0, 3, 2/],
    ['an empty share', { share: { begin: 1, end: 1, parts: 2 } }, /share: expected .*, got 1, 1, 2/],
    ['no heads', { share: { begin: 0, end: 1, parts: 3 } }, /share: .* has none of the 2 key\/value heads of layer 0/],
    ['layers that are not there', { endLayer: 4 }, /firstLayer, endLayer.*\[0, 4\)/],
    ['no cache', { kvBlocks: 0 }, /options\.kvBlocks: expected an integer from 1/],
    ['blocks of no positions', { blockSize: 0 }, /blockSize: expected 1 to 4096, got 0/],
  ])('cannot be made with %s', async (_, change, message) => {
    const refusal = native.createRankShard(model.runtime, model.store, { ...wholeStage(model.spec), ...change }, null);
    await expect(refusal).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
  });

  test('that cannot get memory for its cache says so', async () => {
    const refusal = native.createRankShard(
      model.runtime,
      model.store,
      { ...wholeStage(model.spec), kvBlocks: 2 ** 31 - 1, blockSize: 4096 },
      null,
    );
    await expect(refusal).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
  });
});

describe('a route', () => {
  const route = expertRoute(8, 1, () => [0, 1]);
  test.each<readonly [string, object, RegExp]>([
    ['too few offsets', { offsets: new Int32Array(8) }, /route\.offsets: expected 9 entries/],
    [
      'offsets that fall',
      { offsets: Int32Array.of(0, 4, 2, 6, 8, 10, 12, 14, 16) },
      /route\.offsets\[2\]: expected 4 to 16, got 2/,
    ],
    [
      'offsets beyond the targets',
      { offsets: Int32Array.of(0, 2, 4, 6, 8, 10, 12, 14, 17) },
      /route\.offsets\[8\].*got 17/,
    ],
    ['a negative target', { targets: new Int32Array(16).fill(-1) }, /route\.targets\[0\]: expected 0 or more, got -1/],
    ['a share of nothing', { shares: new Float32Array(16) }, /route\.shares\[0\].*got 0/],
    ['too few shares', { shares: new Float32Array(15).fill(1) }, /route\.shares: expected 16 entries/],
    ['no slices', { slices: 0 }, /route\.slices: expected 1 to 1024, got 0/],
    ['more slices than any expert has', { slices: 1025 }, /route\.slices: expected 1 to 1024, got 1025/],
  ])('with %s is refused', (_, change, message) => {
    expect(() => model.stage.setRoute(0, { ...route, ...change })).toThrow(message);
  });

  test('of a layer that is not there is refused', () => {
    expect(() => model.stage.setRoute(3, route)).toThrow(/layer: expected 0 to 2, got 3/);
  });
});

describe('partial sums', () => {
  const batch = stepBatch([{ tokens, begin: 0, end: 6, blocks: [3, 1], wanted: [] }]);

  test('of the wrong shape or value are refused, and the step goes on with a good answer', async () => {
    const slots = expertCount(model.spec.layers[0]);
    const bank = native.createExpertBank(model.runtime, model.store);
    const stage = await native.createStage(model.runtime, model.store, bank, wholeStage(model.spec), null);
    for (const layer of [0, 1, 2])
      stage.setRoute(
        layer,
        expertRoute(slots, 1, () => [1]),
      );
    const progress = await stage.begin(batch);
    if (progress.kind !== 'dispatch') throw new Error('expected a dispatch');
    const [dispatch] = progress.dispatches;
    if (dispatch === undefined) throw new Error('expected a dispatch');
    const { rowIndices, experts } = dispatch;
    expect(progress).toMatchObject({ layer: 0, operator: 'ffn' });
    expect([...rowIndices]).toEqual([0, 1, 2, 3, 4, 5]);
    const { type, partial } = await model.bank.forward(experts);
    const answer = { rowIndices, type, partial };
    const rowBytes = partial.length / 6;
    const doubles = new Float64Array(6 * hidden);
    doubles[2 * hidden + 5] = Number.NaN;
    const poisoned = { ...answer, type: 'f64', partial: new Uint8Array(doubles.buffer) };
    const refusals: readonly (readonly [object, string, RegExp])[] = [
      [
        [{ ...answer, partial: partial.subarray(4) }],
        'INVALID_ARGUMENT',
        new RegExp(`partials\\[0\\]\\.partial: expected ${partial.length} bytes.*got ${partial.length - 4}`),
      ],
      [[{ ...answer, rowIndices: Int32Array.of(0, 1, 2, 3, 4, 6) }], 'INVALID_ARGUMENT', /rowIndices\[5\].*got 6/],
      [[{ ...answer, rowIndices: Int32Array.of(0, 1, 2, 2, 4, 5) }], 'INVALID_ARGUMENT', /rowIndices\[3\].*got 2/],
      [
        [{ ...answer, rowIndices: rowIndices.subarray(1), partial: partial.subarray(rowBytes) }],
        'INVALID_ARGUMENT',
        /row 0 of the batch was dispatched 1 times and is answered 0/,
      ],
      [[], 'INVALID_ARGUMENT', /row 0 of the batch/],
      [[poisoned], 'NON_FINITE', /partials\[0\]\.partial: row 2/],
      [[answer, poisoned], 'NON_FINITE', /partials\[1\]\.partial: row 2/],
    ];
    for (const [partials, code, message] of refusals) {
      const refusal = stage.resume(progress.step, partials as never);
      await expect(refusal).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    }
    expect(await stage.resume(progress.step, [answer])).toMatchObject({ kind: 'dispatch', layer: 1 });
    stage.close();
    bank.close();
  });

  test('of a step that does not wait are refused', async () => {
    for (const step of [1, 999, 2 ** 53 - 1]) {
      await expect(model.stage.resume(step, [])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    for (const step of [-1, 0.5, Number.NaN]) {
      await expect(model.stage.resume(step, [])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });
});

describe('an object of another kind', () => {
  test('is not taken for a handle', async () => {
    const fakes = [null, undefined, {}, 7, model.stage, Object.create(model.store), new Proxy(model.store, {})];
    for (const fake of fakes) {
      expect(() => native.createExpertBank(model.runtime, fake as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
      await expect(
        native.createStage(fake as never, model.store, model.bank, wholeStage(model.spec), null),
      ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    const disguised = native.createRuntime({ threads: 1, isa: null });
    Object.setPrototypeOf(disguised, Object.getPrototypeOf(model.store));
    expect(() => native.createExpertBank(model.runtime, disguised as never)).toThrow(/store: expected a WeightStore/);
  });

  test('cannot borrow a method', () => {
    const { begin } = model.stage;
    expect(() => begin.call(model.bank as never, good())).toThrow();
    expect(() => begin.call({} as never, good())).toThrow();
  });

  test('cannot be made by a constructor', () => {
    for (const handle of [model.runtime, model.store, model.bank, model.stage, rank]) {
      const { constructor } = handle as unknown as { constructor: new (...args: unknown[]) => unknown };
      expect(() => new constructor()).toThrow(/made by the addon only/);
    }
  });

  test('leaves the model as it was', async () => {
    const [result] = await score(localRun(model.stage), [tokens], 4);
    expect(result?.logprobs).toHaveLength(5);
  });
});

describe('a runtime', () => {
  test.each([0, -1, 1.5, 1025, Number.NaN, '2', null])('of %s threads is refused', (threads) => {
    expect(() => native.createRuntime({ threads: threads as number, isa: null })).toThrow(/options\.threads/);
  });

  test('with an unknown instruction set is refused', () => {
    expect(() => native.createRuntime({ threads: 1, isa: 'mmx' as never })).toThrow(
      'options.isa: expected portable or portable-bf16 or avx2 or avx512 or avx512-bf16 or reference, got "mmx"',
    );
  });
});
