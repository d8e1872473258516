import { compileModel } from '../../../controller/model/compile.ts';
import type {
  ExpertBank,
  ExpertSlot,
  Native,
  Runtime,
  RuntimeOptions,
  Stage,
  StepBatch,
  StepOutput,
  WeightStore,
} from '../../../native/native.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { stateSlotsFor, wholeModel } from '../../../proto/model/cache.ts';
import { expertCount } from '../../../proto/model/operators.ts';
import type { WeightsFormat } from '../../../proto/weights-formats.ts';

export const blockSize = 4;
export const kvBlocks = 192;
/** Sequences whose states are kept, of models that have such. */
export const stateSlots = 16;

export interface OpenOptions {
  /** Instead of what the folder says. */
  readonly spec?: ModelSpec;
  readonly weights?: WeightsFormat;
  /** Positions per cache block. */
  readonly blockSize?: number;
  readonly isa?: RuntimeOptions['isa'];
  readonly device?: string;
  readonly threads?: number;
}

/** A whole model on one stage. */
export interface Model {
  readonly spec: ModelSpec;
  readonly runtime: Runtime;
  readonly store: WeightStore;
  readonly bank: ExpertBank;
  readonly stage: Stage;
  close(): void;
}

export async function openModel(native: Native, folder: string, options: OpenOptions = {}): Promise<Model> {
  const compiled = options.spec ? { spec: options.spec, directory: folder } : await compileModel(folder);
  const { spec, directory } = compiled;
  const runtime = native.createRuntime({
    threads: options.threads ?? 2,
    isa: options.isa ?? null,
    device: options.device ?? null,
  });
  const store = await native.openWeights(runtime, { directory, spec, weights: options.weights ?? 'f32' });
  const bank = native.createExpertBank(runtime, store);
  await bank.load(expertsOf(spec), null);
  const stage = await native.createStage(
    runtime,
    store,
    bank,
    { ...wholeStage(spec), blockSize: options.blockSize ?? blockSize },
    null,
  );
  const close = () => {
    for (const handle of [stage, bank, store, runtime]) handle.close();
  };
  return { spec, runtime, store, bank, stage, close };
}

/** Whether sequences have states of a fixed size. */
export function keepsState(spec: ModelSpec): boolean {
  return stateSlotsFor(spec, stateSlots) > 0;
}

/** Options of a stage that holds the whole model. */
export function wholeStage(spec: ModelSpec) {
  return {
    ...wholeModel(spec),
    kvBlocks,
    blockSize,
    stateSlots: stateSlotsFor(spec, stateSlots),
    rankTargets: [] as readonly number[],
    dispatchType: 'f32' as const,
  };
}

/** Every slot of the experts that `wanted` accepts, cut into `slices`. */
export function expertsOf(
  spec: ModelSpec,
  slices = 1,
  wanted: (slot: ExpertSlot) => boolean = () => true,
): readonly ExpertSlot[] {
  return spec.layers
    .flatMap((layout, layer) =>
      Array.from({ length: expertCount(layout) * slices }, (_, id) => {
        return { layer, expert: Math.floor(id / slices), slice: id % slices, slices };
      }),
    )
    .filter(wanted);
}

/** Rows of one sequence in a step. */
export interface SequenceStep {
  /** The sequence's tokens as far as they are known. */
  readonly tokens: readonly number[];
  /** Rows [begin, end) of the sequence are calculated. */
  readonly begin: number;
  readonly end: number;
  readonly blocks: readonly number[];
  /** Of its state; none unless given. */
  readonly slot?: number;
  /** Positions whose logits are wanted, with the token to score there; null: the likeliest. */
  readonly wanted: readonly { readonly position: number; readonly target: number | null }[];
}

export function stepBatch(sequences: readonly SequenceStep[], hidden: Uint8Array | null = null): StepBatch {
  const positions: number[] = [];
  const tokenIds: number[] = [];
  const sequenceOffsets = [0];
  const blockTables: number[] = [];
  const blockOffsets = [0];
  const slots: number[] = [];
  const rows: number[] = [];
  const targets: number[] = [];
  for (const { tokens, begin, end, blocks, slot = -1, wanted } of sequences) {
    for (const { position, target } of wanted) {
      rows.push(positions.length + position - begin);
      targets.push(target ?? -1);
    }
    for (let position = begin; position < end; position++) {
      positions.push(position);
      tokenIds.push(tokens[position] ?? -1);
    }
    blockTables.push(...blocks);
    sequenceOffsets.push(positions.length);
    blockOffsets.push(blockTables.length);
    slots.push(slot);
  }
  const none = rows.map(() => null);
  return {
    positions: Int32Array.from(positions),
    tokenIds: Int32Array.from(tokenIds),
    sequenceOffsets: Int32Array.from(sequenceOffsets),
    blockTables: Int32Array.from(blockTables),
    blockOffsets: Int32Array.from(blockOffsets),
    stateSlots: Int32Array.from(slots),
    hidden,
    logits: {
      rows: Int32Array.from(rows),
      targets: Int32Array.from(targets),
      logprobs: new Int32Array(rows.length).fill(1),
      sampling: none,
      positions: Int32Array.from(rows, (row) => (positions[row] ?? 0) + 1),
      sequenceIndices: new Int32Array(rows.length),
      promptTokens: none,
      outputTokens: none,
      filters: none,
    },
  };
}

/** Runs a batch to its end. */
export type Run = (batch: StepBatch) => Promise<StepOutput>;

/** A run where everything is local. */
export function localRun(stage: Stage): Run {
  return async (batch) => {
    const progress = await stage.begin(batch);
    if (progress.kind !== 'output') throw new Error(`expected the output, got ${progress.kind}`);
    return progress.output;
  };
}

export interface Scores {
  /** Log-probability of token p given those before it, for p from 1. */
  readonly logprobs: readonly number[];
  /** Likeliest token after each of them. */
  readonly likeliest: readonly number[];
  /** Greedy continuation and its log-probabilities. */
  readonly continuation: readonly number[];
  readonly continuationLogprobs: readonly number[];
}

/**
 * Scores prompts and continues them greedily, all in one batch, prefilled `chunk` tokens at a time. Blocks are handed out
 * in an order that is not their own, so that a mixed-up table shows.
 */
export async function score(
  run: Run,
  prompts: readonly (readonly number[])[],
  chunk = Number.POSITIVE_INFINITY,
  generate = 0,
  hasState = false,
): Promise<readonly Scores[]> {
  const perSequence = Math.ceil((Math.max(...prompts.map(({ length }) => length)) + generate) / blockSize);
  const sequences = prompts.map((prompt, index) => ({
    tokens: [...prompt],
    done: 0,
    slot: hasState ? stateSlots - 1 - index : -1,
    blocks: Array.from({ length: perSequence }, (_, block) => ((block * prompts.length + index) * 7) % kvBlocks),
    scores: {
      logprobs: [] as number[],
      likeliest: [] as number[],
      continuation: [] as number[],
      continuationLogprobs: [] as number[],
    },
  }));
  const length = (prompt: readonly number[]) => prompt.length + generate;
  for (;;) {
    const running = sequences.filter(
      (sequence, index) => sequence.done < length(prompts[index] ?? []) - (generate > 0 ? 1 : 0),
    );
    if (running.length === 0) return sequences.map(({ scores }) => scores);
    const steps = running.map((sequence) => {
      const end = Math.min(sequence.tokens.length, sequence.done + chunk);
      const positions = Array.from({ length: end - sequence.done }, (_, row) => sequence.done + row);
      const wanted = positions.map((position) => ({ position, target: sequence.tokens[position + 1] ?? null }));
      return {
        sequence,
        step: {
          tokens: sequence.tokens,
          begin: sequence.done,
          end,
          blocks: sequence.blocks,
          slot: sequence.slot,
          wanted,
        },
      };
    });
    const output = await run(stepBatch(steps.map(({ step }) => step)));
    let entry = 0;
    for (const { sequence, step } of steps) {
      const prompt = prompts[sequences.indexOf(sequence)] ?? [];
      for (const { position, target } of step.wanted) {
        const token = output.tokens[entry] ?? -1;
        const logprob = output.logprobs[entry] ?? Number.NaN;
        if (position < prompt.length)
          sequence.scores.likeliest.push(output.topTokens[output.topOffsets[entry] ?? 0] ?? -1);
        if (target !== null) sequence.scores.logprobs.push(logprob);
        else if (generate > 0) {
          sequence.tokens.push(token);
          sequence.scores.continuation.push(token);
          sequence.scores.continuationLogprobs.push(logprob);
        }
        entry += 1;
      }
      sequence.done = step.end;
    }
  }
}
