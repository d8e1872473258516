import type { Logger } from 'pino';
import type { EngineSnapshot } from '../../controller/api/metrics/engine-metrics.ts';
import type { Pipeline } from '../../controller/gateway/pipeline.ts';
import type { PipelineRouter } from '../../controller/gateway/router.ts';
import { allTokenBytes } from '../../controller/text/token-bytes.ts';
import type { Native } from '../../native/native.ts';
import type { RunRequest } from '../../proto/messages.ts';
import { createEngine, type Engine } from '../../worker/engine/engine.ts';
import { NativeTokenFilters } from '../../worker/engine/request/token-filters.ts';
import { createLocalExecutor, type LocalExecutor, type LocalHandles } from '../../worker/stage/local-executor.ts';
import type { ServeConfig } from '../config/serve-config.ts';
import type { PreparedCheckpoint } from './checkpoint.ts';
import { engineLog } from './engine-log.ts';

/** Starts showing a task that is counted in bytes. */
export type ShowProgress = (task: string) => (doneBytes: number, totalBytes: number) => void;

export interface EmbeddedEngineOptions {
  readonly config: ServeConfig;
  readonly checkpoint: PreparedCheckpoint;
  readonly native: Native;
  readonly log: Logger;
  readonly onProgress: ShowProgress;
}

const loadTasks = {
  experts: 'loading experts',
  stage: 'loading attention and embeddings',
  cache: 'preparing the KV cache',
} as const;

const nothingYet: EngineSnapshot = {
  running: 0,
  waiting: 0,
  kvUsage: 0,
  prefixQueriedTokens: 0,
  prefixHitTokens: 0,
  preemptions: 0,
};

/** The engine of this process, and what the gateway asks of it before it is there. */
export class EmbeddedEngine implements PipelineRouter {
  /** Settles when the engine has failed for good. */
  readonly fault: Promise<Error>;
  readonly #options: EmbeddedEngineOptions;
  readonly #onFault: (error: Error) => void;
  #obstacle = 'the model is loading';
  #executor: LocalExecutor | null = null;
  #engine: Engine | null = null;

  constructor(options: EmbeddedEngineOptions) {
    this.#options = options;
    let onFault: (error: Error) => void = () => {};
    this.fault = new Promise((resolve) => {
      onFault = resolve;
    });
    this.#onFault = onFault;
  }

  /** Why requests cannot be answered now; empty: they can. */
  obstacles(): readonly string[] {
    return this.#engine === null ? [this.#obstacle] : [];
  }

  pick(_request: RunRequest, avoid: ReadonlySet<Pipeline>): Pipeline | null {
    return this.#engine === null || avoid.has(this.#engine) ? null : this.#engine;
  }

  snapshot(): EngineSnapshot {
    return this.#engine?.snapshot() ?? nothingYet;
  }

  /** Loads the model and starts the engine on it. Rejects with a native error. */
  async load(): Promise<LocalHandles> {
    const { config, checkpoint, native, log } = this.#options;
    const { directory, spec, weights, threads, memory, device } = checkpoint;
    const { kvBlocks, stateSlots, maxModelLen } = memory.cache;
    this.#executor = await createLocalExecutor({
      ...{ native, directory, spec, weights, threads },
      isa: config.isa === 'auto' ? null : config.isa,
      device: device.id,
      limits: () => ({ kvBlocks, blockSize: config.blockSize, stateSlots }),
      onProgress: this.#progress(),
    });
    const tokens = allTokenBytes(checkpoint.text.table, spec.vocabSize);
    const { runtime } = this.#executor.handles;
    const filters = await NativeTokenFilters.open(native, runtime, tokens);
    this.#engine = createEngine({
      executor: this.#executor,
      model: { vocabSize: spec.vocabSize, eosTokenIds: spec.eosTokenIds },
      limits: {
        maxModelLen,
        maxSequences: config.maxNumSeqs,
        maxBatchedTokens: config.maxNumBatchedTokens,
        maxWaiting: config.maxQueue,
      },
      observer: engineLog(log, this.#onFault),
      prefixCaching: config.prefixCaching,
      filters,
    });
    return this.#executor.handles;
  }

  /** Ends what runs, and frees the model. */
  async close(): Promise<void> {
    await this.#engine?.close(0);
    this.#executor?.close();
  }

  #progress() {
    const shown: Partial<Record<keyof typeof loadTasks, ReturnType<ShowProgress>>> = {};
    return (part: keyof typeof loadTasks, doneBytes: number, totalBytes: number): void => {
      const percent = Math.floor((100 * doneBytes) / Math.max(1, totalBytes));
      this.#obstacle = `the model is loading: ${loadTasks[part]}, ${percent} %`;
      shown[part] ??= this.#options.onProgress(loadTasks[part]);
      shown[part](doneBytes, totalBytes);
    };
  }
}
