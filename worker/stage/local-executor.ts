import type {
  ExpertBank,
  ExpertSlot,
  Isa,
  Native,
  Runtime,
  Stage,
  StepBatch,
  StepOutput,
  WeightStore,
} from '../../native/native.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { wholeModel } from '../../proto/model/cache.ts';
import { expertCount } from '../../proto/model/operators.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { ExecutorLimits, StepExecutor } from '../engine/step/executor.ts';
import { checkCacheBytes, modelCacheBytes } from './cache-size.ts';

export interface LocalExecutorOptions {
  readonly native: Native;
  /** Checkpoint folder. */
  readonly directory: string;
  readonly spec: ModelSpec;
  readonly weights: WeightsFormat;
  readonly threads: number;
  /** Null: the best of this machine. */
  readonly isa: Isa | null;
  /** The id of a GPU. Default "cpu". */
  readonly device?: string;
  /** Size of the cache; asked once the experts are loaded, when the memory left is known. See cacheSize(). */
  readonly limits: () => ExecutorLimits;
  readonly onProgress: LoadProgress | null;
}

/** Bytes done and bytes in all, first of the experts, then of all other weights, then of the KV cache. */
export type LoadProgress = (part: 'experts' | 'stage' | 'cache', doneBytes: number, totalBytes: number) => void;

/** Loads a whole model into this process. Rejects with a native error, after everything opened so far is closed. */
export async function createLocalExecutor(options: LocalExecutorOptions): Promise<LocalExecutor> {
  const { native, directory, spec, weights, threads, isa, device = 'cpu', onProgress } = options;
  const opened: { close(): void }[] = [];
  const keep = <T extends { close(): void }>(handle: T): T => {
    opened.unshift(handle);
    return handle;
  };
  try {
    const runtime = keep(native.createRuntime({ threads, isa, device }));
    const store = keep(await native.openWeights(runtime, { directory, spec, weights }));
    const bank = keep(native.createExpertBank(runtime, store));
    await bank.load(allExperts(spec), onProgress && ((done, total) => onProgress('experts', done, total)));
    const limits = options.limits();
    const whole = { ...limits, ...wholeModel(spec) };
    checkCacheBytes(native, store, { ...whole, cacheBytes: modelCacheBytes(spec, weights, limits) });
    const stage = await native.createStage(
      runtime,
      store,
      bank,
      { ...whole, rankTargets: [], dispatchType: 'f32' },
      onProgress && ((done, total, part) => onProgress(part === 'cache' ? 'cache' : 'stage', done, total)),
    );
    return new LocalExecutor({ runtime, store, bank, stage, limits });
  } catch (error) {
    for (const handle of opened) handle.close();
    throw error;
  }
}

/** The handles of a model in this process. */
export interface LocalHandles {
  readonly runtime: Runtime;
  readonly store: WeightStore;
  readonly bank: ExpertBank;
  readonly stage: Stage;
  readonly limits: ExecutorLimits;
}

/** Steps of a model whose every shard is in this process: one native call each. */
export class LocalExecutor implements StepExecutor {
  readonly handles: LocalHandles;
  readonly limits: ExecutorLimits;

  constructor(handles: LocalHandles) {
    this.handles = handles;
    this.limits = handles.limits;
  }

  async execute(batch: StepBatch): Promise<StepOutput> {
    const { stage } = this.handles;
    const progress = await stage.begin(batch);
    if (progress.kind === 'output') return progress.output;
    if (progress.kind === 'dispatch') stage.abort(progress.step);
    throw new Error(`a stage with everything local returned "${progress.kind}" instead of tokens`);
  }

  /** Frees the model. Call it when no step is in flight. Idempotent. */
  close(): void {
    const { runtime, store, bank, stage } = this.handles;
    for (const handle of [stage, bank, store, runtime]) handle.close();
  }
}

function allExperts(spec: ModelSpec): readonly ExpertSlot[] {
  return spec.layers.flatMap((layout, layer) =>
    Array.from({ length: expertCount(layout) }, (_, expert) => ({ layer, expert, slice: 0, slices: 1 })),
  );
}
