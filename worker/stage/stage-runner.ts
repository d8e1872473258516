import type { LogitsRows, Stage, StepBatch, StepOutput, StepProgress } from '../../native/native.ts';
import type { AttentionRows } from '../../proto/generated/conclave/v1/AttentionRows.ts';
import type { Dispatcher, SourcedPartial } from '../shard/dispatcher.ts';
import type { CacheClaim, CacheFields } from '../wire/cache-claim.ts';
import { ShardFailure } from '../wire/failure.ts';
import { joinOutputs, splitBatch } from './micro-batch.ts';

/** The stage after this one: takes the residual stream, returns what the last stage sampled. */
export interface NextStage {
  step(hidden: Uint8Array, batch: StepBatch, epoch: number, cache: CacheFields): Promise<StepOutput>;
}

export interface StageRunnerOptions {
  readonly stage: Stage;
  readonly dispatcher: Dispatcher;
  /** What the caches of other ranks and of later stages hold. */
  readonly claim: CacheClaim;
  /** Plan that dispatches are sent under. */
  readonly epoch: () => number;
  /** Null on the last stage. */
  readonly next: NextStage | null;
  /** Batches of at least this many rows run as two micro-batches, so that one's network time hides behind the other's compute. */
  readonly overlapRows: number;
}

const none = new Int32Array(0);

type DispatchStep = Extract<StepProgress, { kind: 'dispatch' }>;

/** Most times that a layer's partial sums are asked for again because one was not finite. */
const MAX_POISONED = 8;

/** Runs micro-batches through a stage whose shards are partly on other workers, and on to the next stage. */
export class StageRunner {
  readonly #options: StageRunnerOptions;
  readonly #inFlight = new Set<Promise<unknown>>();

  constructor(options: StageRunnerOptions) {
    this.#options = options;
  }

  /** Runs a batch to the end of the pipeline. Rejects with RankLost or a native error; the batch's cache is then void. */
  async run(batch: StepBatch): Promise<StepOutput> {
    const { overlapRows } = this.#options;
    const parts = batch.positions.length >= overlapRows ? splitBatch(batch, 2) : [batch];
    const running = Promise.allSettled(parts.map((part) => this.#runPart(part)));
    this.#inFlight.add(running);
    const results = await running;
    this.#inFlight.delete(running);
    return joinOutputs(
      results.map((result) => {
        if (result.status === 'rejected') throw result.reason;
        return result.value;
      }),
    );
  }

  /** Resolves once the batches that are in flight now have ended: those begun later use newer routes. */
  async settled(): Promise<void> {
    await Promise.all(this.#inFlight);
  }

  async #runPart(batch: StepBatch): Promise<StepOutput> {
    const { stage, dispatcher, next, claim } = this.#options;
    const epoch = this.#options.epoch();
    const cache = claim.fields;
    const attention = this.#attentionRows(batch, cache);
    // Made while this stage computes, for the stage that samples.
    const masked = next === null ? null : masks(batch.logits);
    masked?.catch(() => undefined);
    let progress = await stage.begin(batch);
    while (progress.kind === 'dispatch') {
      const step = progress;
      try {
        progress = await this.#resume(step, await dispatcher.collect(step, epoch, attention));
      } catch (error) {
        stage.abort(step.step);
        throw error;
      }
    }
    if (progress.kind === 'output') return progress.output;
    if (next === null || masked === null)
      throw new Error('the last stage of the pipeline returned activations instead of tokens');
    return next.step(progress.hidden, { ...batch, logits: await masked }, epoch, cache);
  }

  async #resume(step: DispatchStep, answers: readonly SourcedPartial[]): Promise<StepProgress> {
    let partials = answers;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#options.stage.resume(step.step, partials);
      } catch (error) {
        const index = poisonedPartial(error);
        const poisoned = index === null ? undefined : partials[index];
        if (!(error instanceof Error) || !poisoned?.again || attempt === MAX_POISONED) throw error;
        const replaced = await poisoned.again(new ShardFailure('POISONED', poisoned.peer, error.message));
        partials = [...partials.filter((partial) => partial !== poisoned), ...replaced];
      }
    }
  }

  #attentionRows(batch: StepBatch, cache: CacheFields): AttentionRows {
    return {
      ...cache,
      positions: bytesOf(batch.positions),
      sequenceOffsets: bytesOf(batch.sequenceOffsets),
      blockTables: bytesOf(batch.blockTables),
      blockOffsets: bytesOf(batch.blockOffsets),
      stateSlots: bytesOf(batch.stateSlots),
    };
  }
}

/** The same rows with masks in the place of filters. */
async function masks(logits: LogitsRows): Promise<LogitsRows> {
  if (logits.filters.every((filter) => filter === null)) return logits;
  const filters = await Promise.all(
    logits.filters.map(async (filter, i) =>
      filter === null || filter instanceof Uint32Array ? filter : filter.mask(logits.outputTokens[i] ?? none),
    ),
  );
  return { ...logits, filters };
}

/** Index of the partial sum that a NON_FINITE or shape error of Stage.resume is about, or null for other errors. */
function poisonedPartial(error: unknown): number | null {
  if (!(error instanceof Error) || !('partial' in error)) return null;
  return typeof error.partial === 'number' ? error.partial : null;
}

function bytesOf(array: Int32Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}
