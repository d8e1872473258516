// What a row gets depends on the row alone: not on which replica answers for which of its experts, on what is asked for
// again elsewhere, on the order in which answers come, or on the rows beside it.
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { compileModel } from '../../../controller/model/compile.ts';
import { loadNative } from '../../../native/load.ts';
import type {
  Dispatch,
  EncodedTotals,
  ExpertBank,
  PartialSum,
  RankShard,
  Stage,
  StepBatch,
  StepProgress,
} from '../../../native/native.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { expertCount } from '../../../proto/model/operators.ts';
import { type WeightsFormat, weightsFormats } from '../../../proto/weights-formats.ts';
import { rerouteRows } from '../../../worker/shard/reroute.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { expertsOf, type Run, type Scores, score, wholeStage } from './model.ts';
import { expertRoute } from './shards.ts';

const native = loadNative();
const closing: { close(): void }[] = [];
afterAll(() => {
  for (const handle of closing.reverse()) handle.close();
});

interface Shards {
  readonly spec: ModelSpec;
  readonly stage: Stage;
  /** Every expert, on other threads: stands for all workers. */
  readonly bank: ExpertBank;
  /** Half of the heads and of the dense parts, where the stage has the others. */
  readonly rank: RankShard | null;
}

function keep<T extends { close(): void }>(handle: T): T {
  closing.push(handle);
  return handle;
}

async function open(family: string, weights: WeightsFormat, cut: boolean): Promise<Shards> {
  const directory = goldenFolder(family);
  const { spec } = await compileModel(directory);
  const opened = async (threads: number) => {
    const runtime = keep(native.createRuntime({ threads, isa: null }));
    const store = keep(await native.openWeights(runtime, { directory, spec, weights }));
    const bank = keep(native.createExpertBank(runtime, store));
    await bank.load(expertsOf(spec), null);
    return { runtime, store, bank };
  };
  const [own, other] = [await opened(2), await opened(1)];
  const options = {
    ...wholeStage(spec),
    ...(cut && { share: { begin: 0, end: 1, parts: 2 } }),
    rankTargets: cut ? [RANK] : [],
    dispatchType: weights === 'f32' ? ('f32' as const) : ('bf16' as const),
  };
  const rank = { ...wholeStage(spec), share: { begin: 1, end: 2, parts: 2 } };
  return {
    spec,
    stage: keep(await native.createStage(own.runtime, own.store, own.bank, options, null)),
    bank: other.bank,
    rank: cut ? keep(await native.createRankShard(other.runtime, other.store, rank, null)) : null,
  };
}

const RANK = 1;
const WORKERS = [0, 2, 3, 4] as const;

/** A chance decision: an integer from 0 to below `count`. */
type Choose = (count: number) => number;

/** xorshift32: one seed stands for all decisions of a run. */
function chooser(seed: number): Choose {
  let state = seed | 1;
  return (count) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
}

/** Every expert has replicas on some of the workers, or on none. */
function route({ spec, stage }: Shards, choose: Choose): void {
  spec.layers.forEach((layout, layer) => {
    const experts = expertCount(layout);
    if (experts === 0) return;
    const holders = Array.from({ length: experts }, () => WORKERS.filter(() => choose(2) === 0));
    stage.setRoute(
      layer,
      expertRoute(experts, 1, (expert) => holders[expert] ?? []),
    );
  });
}

/** Answers a dispatch in pieces, as when workers die and their rows go to others, row by row and expert by expert. */
async function answerInPieces(
  { bank, rank }: Shards,
  { dense, rowIndices, experts }: Dispatch,
  operator: 'attention' | 'ffn',
  where: StepBatch,
  choose: Choose,
): Promise<PartialSum[]> {
  const whole = async (totals: Promise<EncodedTotals>) => [{ rowIndices, ...(await totals) }];
  if (operator === 'attention') return whole(existing(rank).attention(experts, where));
  if (dense && choose(2) === 0) return whole(existing(rank).ffn(experts, experts.topK > 0 ? bank : null));
  const pieces: PartialSum[] = [];
  if (dense) {
    const none = { topK: 0, topkIds: new Int32Array(0), topkWeights: new Float32Array(0) };
    pieces.push(...(await whole(existing(rank).ffn({ ...experts, ...none }, null))));
  }
  const targets = 1 + choose(4);
  for (const part of rerouteRows(experts, rowIndices, () => choose(targets))) {
    pieces.push({ rowIndices: part.rowIndices, ...(await bank.forward(part.experts)) });
  }
  return pieces;
}

function existing<T>(value: T | null): T {
  if (value === null) throw new Error('a dispatch to a rank that is not there');
  return value;
}

function scattered(shards: Shards, choose: Choose): Run {
  return async (batch) => {
    route(shards, choose);
    let progress: StepProgress = await shards.stage.begin(batch);
    while (progress.kind === 'dispatch') {
      const { step, operator, dispatches } = progress;
      const answers = await Promise.all(
        dispatches.map((dispatch) => answerInPieces(shards, dispatch, operator, batch, choose)),
      );
      const order = answers.flat().map((partial) => ({ partial, at: choose(1_000) }));
      order.sort((a, b) => a.at - b.at);
      progress = await shards.stage.resume(
        step,
        order.map(({ partial }) => partial),
      );
    }
    if (progress.kind !== 'output') throw new Error(`expected the output, got ${progress.kind}`);
    return progress.output;
  };
}

const whole = { families: ['mixtral', 'qwen3_moe', 'qwen2_moe', 'olmoe'], cut: false };
const cut = { families: ['mixtral', 'qwen2_moe', 'llama'], cut: true };
const cases = [whole, cut].flatMap(({ families, cut }) =>
  families.flatMap((family) => weightsFormats.map((weights) => ({ family, weights, cut }))),
);

describe('a sequence gets the same bits', () => {
  test.each(cases)('whoever answers for $family in $weights, cut over ranks: $cut', async (of) => {
    const shards = await open(of.family, of.weights, of.cut);
    const prompts = readGoldens(of.family)
      .slice(0, 4)
      .map(({ prompt }) => prompt);
    const alone: Scores[] = [];
    for (const prompt of prompts) {
      const [scores] = await score(
        scattered(shards, () => 0),
        [prompt],
        Number.POSITIVE_INFINITY,
        6,
      );
      if (scores !== undefined) alone.push(scores);
    }
    const property = fc.asyncProperty(
      fc.integer(),
      fc.integer({ min: 1, max: 40 }),
      fc.subarray([...prompts.keys()], { minLength: 1 }),
      async (seed, chunk, chosen) => {
        const run = scattered(shards, chooser(seed));
        const scores = await score(
          run,
          chosen.map((index) => prompts[index] ?? []),
          chunk,
          6,
        );
        expect(scores).toEqual(chosen.map((index) => alone[index]));
      },
    );
    await fc.assert(property, { numRuns: 12 });
  });
});
