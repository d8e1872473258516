import { describe, expect, test } from 'vitest';
import { compileModel } from '../../../controller/model/compile.ts';
import { loadNative } from '../../../native/load.ts';
import type {
  ActivationType,
  ExpertBank,
  ExpertSlot,
  RankSlice,
  Runtime,
  Stage,
  StageOptions,
  WeightStore,
} from '../../../native/native.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { expertsOf, keepsState, type Run, score, wholeStage } from './model.ts';
import { type Remote, routeExperts, shardedRun } from './shards.ts';

const native = loadNative();
const tolerance = 1e-4;

/** Opens one model in pieces, as workers would, and closes everything at the end. */
class Pieces implements AsyncDisposable {
  readonly spec: ModelSpec;
  private readonly runtime: Runtime;
  private readonly store: WeightStore;
  private readonly handles: { close(): void }[];

  private constructor(spec: ModelSpec, runtime: Runtime, store: WeightStore) {
    this.spec = spec;
    this.runtime = runtime;
    this.store = store;
    this.handles = [runtime, store];
  }

  static async of(family: string): Promise<Pieces> {
    const directory = goldenFolder(family);
    const { spec } = await compileModel(directory);
    const runtime = native.createRuntime({ threads: 2, isa: null });
    return new Pieces(spec, runtime, await native.openWeights(runtime, { directory, spec, weights: 'f32' }));
  }

  async bank(slices = 1, wanted: (slot: ExpertSlot) => boolean = () => true): Promise<ExpertBank> {
    const bank = this.keep(native.createExpertBank(this.runtime, this.store));
    await bank.load(expertsOf(this.spec, slices, wanted), null);
    return bank;
  }

  async stage(bank: ExpertBank, options: Partial<StageOptions>): Promise<Stage> {
    const all = { ...wholeStage(this.spec), ...options };
    return this.keep(await native.createStage(this.runtime, this.store, bank, all, null));
  }

  async rank(slice: Partial<RankSlice>) {
    const options = { ...wholeStage(this.spec), ...slice };
    return this.keep(await native.createRankShard(this.runtime, this.store, options, null));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.handles.reverse()) handle.close();
  }

  private keep<T extends { close(): void }>(handle: T): T {
    this.handles.push(handle);
    return handle;
  }
}

const layouts: Readonly<Record<string, (pieces: Pieces, dispatchType: ActivationType) => Promise<Run>>> = {
  'experts on two other workers': async (pieces, dispatchType) => {
    const stage = await pieces.stage(await pieces.bank(1, () => false), { dispatchType });
    routeExperts(stage, pieces.spec, [0, pieces.spec.layers.length], 1, (expert) => [1 + (expert % 2)]);
    const remotes = new Map<number, Remote>();
    for (const target of [1, 2]) {
      remotes.set(target, { bank: await pieces.bank(1, ({ expert }) => 1 + (expert % 2) === target), rank: null });
    }
    return shardedRun([stage], remotes);
  },
  'experts with a local and a remote replica each': async (pieces, dispatchType) => {
    const stage = await pieces.stage(await pieces.bank(), { dispatchType });
    routeExperts(stage, pieces.spec, [0, pieces.spec.layers.length], 1, () => [0, 3]);
    return shardedRun([stage], new Map([[3, { bank: await pieces.bank(), rank: null }]]));
  },
  'experts without a replica': async (pieces, dispatchType) => {
    const stage = await pieces.stage(await pieces.bank(1, ({ expert }) => expert % 2 === 0), { dispatchType });
    routeExperts(stage, pieces.spec, [0, pieces.spec.layers.length], 1, (expert) => (expert % 2 === 0 ? [0] : []));
    return shardedRun([stage], new Map([[-1, { bank: await pieces.bank(), rank: null }]]));
  },
  'experts cut in two': async (pieces, dispatchType) => {
    const stage = await pieces.stage(await pieces.bank(2, ({ slice }) => slice === 0), { dispatchType });
    routeExperts(stage, pieces.spec, [0, pieces.spec.layers.length], 2, (_, slice) => [slice]);
    return shardedRun([stage], new Map([[1, { bank: await pieces.bank(2, ({ slice }) => slice === 1), rank: null }]]));
  },
  'attention and dense parts cut in two': async (pieces, dispatchType) => {
    const share = { begin: 0, end: 1, parts: 2 };
    const stage = await pieces.stage(await pieces.bank(), { share, rankTargets: [4], dispatchType });
    const rank = await pieces.rank({ share: { begin: 1, end: 2, parts: 2 } });
    return shardedRun([stage], new Map([[4, { bank: null, rank }]]));
  },
  'two stages, attention and experts cut in two, replicas, one worker for both kinds': async (pieces, dispatchType) => {
    const stages: Stage[] = [];
    const own = await pieces.bank(2, ({ slice }) => slice === 0);
    for (const [firstLayer, endLayer] of twoStages(pieces.spec)) {
      const share = { begin: 2, end: 3, parts: 3 };
      const stage = await pieces.stage(own, { firstLayer, endLayer, share, rankTargets: [2], dispatchType });
      routeExperts(stage, pieces.spec, [firstLayer, endLayer], 2, (expert, slice) =>
        slice === 0 ? (expert % 2 === 0 ? [0, 2] : [0]) : [2, 5],
      );
      stages.push(stage);
    }
    const rank = await pieces.rank({ share: { begin: 0, end: 2, parts: 3 } });
    const remotes = new Map<number, Remote>([
      [2, { bank: await pieces.bank(2), rank }],
      [5, { bank: await pieces.bank(2, ({ slice }) => slice === 1), rank: null }],
    ]);
    return shardedRun(stages, remotes);
  },
};

/** A cut where there may be one: all layers, where each reads what others left. */
function twoStages({ layers }: ModelSpec): readonly (readonly [first: number, end: number])[] {
  const cut = layers.findIndex(({ withPrevious }, index) => index > 0 && !withPrevious);
  return cut < 0
    ? [[0, layers.length]]
    : [
        [0, cut],
        [cut, layers.length],
      ];
}

const sliceable = [
  'mixtral',
  'mixtral_swa',
  'qwen2_moe',
  'qwen3_moe',
  'llama',
  'qwen2',
  'deepseek_v3_half',
  'qwen3_next_equal',
  'deepseek_v32',
  'deepseek_v4',
  'glm_moe_dsa',
  'longcat_flash',
  'bailing_hybrid',
  'kimi_linear',
  'nemotron_h',
  'nemotron_h_latent',
  'gemma4_dense',
  'gemma4_e',
  'mimo_v2_flash',
  'laguna',
  'lfm2_bias',
  'minimax_m3',
];
/** Whose heads cannot be shared, or which have one in some layers. */
const undivided = ['olmoe', 'flex_olmo', 'gemma4_moe', 'jamba', 'glm_moe_dsa_shared'];

describe.each(Object.entries(layouts))('%s', (name, layout) => {
  const cutsHeads = name.includes('attention');
  test.each(cutsHeads ? sliceable : [...sliceable, ...undivided])('%s gives the reference results', async (family) => {
    const goldens = readGoldens(family);
    await using pieces = await Pieces.of(family);
    const run = await layout(pieces, 'f32');
    const scores = await score(
      run,
      goldens.map(({ prompt }) => prompt),
      7,
      20,
      keepsState(pieces.spec),
    );
    for (const [index, golden] of goldens.entries()) {
      const { continuation, logprobs, continuationLogprobs } = scores[index] ?? {};
      expect(continuation).toEqual(golden.continuation);
      const expected = [...golden.promptLogprobs, ...golden.continuationLogprobs];
      const worst = [...(logprobs ?? []), ...(continuationLogprobs ?? [])].map((value, position) =>
        Math.abs(value - (expected[position] ?? Number.NaN)),
      );
      expect(worst).toHaveLength(expected.length);
      expect(Math.max(...worst)).toBeLessThan(tolerance);
    }
  });

  // bf16 rows keep 8 bits of each activation: relative errors of 2^-9 grow to a few hundredths of logits of order 10.
  test('bf16 rows change log-probabilities little', async () => {
    const [golden] = readGoldens('qwen3_moe');
    await using pieces = await Pieces.of('qwen3_moe');
    const [result] = await score(await layout(pieces, 'bf16'), [golden?.prompt ?? []]);
    const differences = (golden?.promptLogprobs ?? []).map((value, index) =>
      Math.abs(value - (result?.logprobs[index] ?? Number.NaN)),
    );
    expect(differences.sort((a, b) => a - b)[Math.floor(differences.length / 2)]).toBeLessThan(0.1);
  });
});

test.each(['olmoe', 'jamba', 'glm_moe_dsa_shared'])(
  'what is computed over all heads or columns, or in another layer, is not cut: %s',
  async (family) => {
    await using pieces = await Pieces.of(family);
    await expect(pieces.rank({ share: { begin: 1, end: 2, parts: 2 } })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  },
);

test.each([
  ['longcat_flash', 1],
  ['glm_moe_dsa_shared', 2],
  ['gemma4_e', 3],
])('no stage begins or ends where layers of %s read what those before left: at %i', async (family, border) => {
  await using pieces = await Pieces.of(family);
  const bank = await pieces.bank(1, () => false);
  const refused = { code: 'INVALID_ARGUMENT', message: expect.stringContaining(`layer ${border} reads`) };
  await expect(pieces.stage(bank, { firstLayer: border })).rejects.toMatchObject(refused);
  await expect(pieces.stage(bank, { endLayer: border })).rejects.toMatchObject(refused);
});
