/**
 * The engine: requests in, tokens out, one step after the other on a StepExecutor.
 *
 *   const engine = createEngine({
 *     executor,                                        // createLocalExecutor(…) in worker/stage, or a cluster's
 *     model: { vocabSize, eosTokenIds },               // spec.vocabSize, spec.eosTokenIds
 *     limits: { maxModelLen, maxSequences: 64 },       // the rest as in defaultEngineLimits
 *     observer,                                        // metrics and logs; null for none
 *   });
 *   for await (const response of engine.run(request, signal)) …
 *   await engine.close(30_000);
 */

import { type Clock, systemClock } from '../../platform/process/clock.ts';
import type { RunRequest } from '../../proto/messages.ts';
import { BlockManager } from './cache/block-manager.ts';
import { Cache } from './cache/cache.ts';
import { StateSlots } from './cache/state-slots.ts';
import { checkEngineLimits, defaultEngineLimits, type EngineLimits } from './request/limits.ts';
import type { EngineModel } from './request/request.ts';
import type { TokenFilters } from './request/token-filters.ts';
import type { EngineObserver, EngineSnapshot } from './run/observer.ts';
import type { ResponseQueue } from './run/response-queue.ts';
import type { StepExecutor } from './step/executor.ts';
import { StepLoop } from './step-loop.ts';

export interface EngineOptions {
  readonly executor: StepExecutor;
  readonly model: EngineModel;
  readonly limits: Pick<EngineLimits, 'maxModelLen'> & Partial<EngineLimits>;
  readonly observer?: EngineObserver | null;
  readonly clock?: Clock;
  /** Whether requests reuse the cache blocks of prompts that begin alike. Default true. */
  readonly prefixCaching?: boolean;
  /** Makes filters for requests with a constraint, which are refused without. Default: none. */
  readonly filters?: TokenFilters | null;
  /** 32 random bits that salt the prefix cache's hashes. */
  readonly salt?: number;
}

export interface Engine {
  readonly limits: EngineLimits;
  /**
   * Runs one request, from the first `next()` on. Responses carry new tokens of one sequence each:
   * - The stop token that ended a sequence is its last token. Tokens that a slow consumer has not read come merged.
   * - prompt_logprobs come with the request's first sequence: one entry per prompt position, the first without a token.
   * - cached_tokens and queue_ms are set on the request's first response.
   * - A resumed sequence that had already ended only gets its finish reason.
   * - When the signal aborts, each unfinished sequence ends with CANCELLED; ending the iteration early just frees them.
   * - When steps keep failing, a sequence ends with ERROR.
   *
   * The first `next()` rejects with an EngineError: INVALID_ARGUMENT (with the field), ALREADY_EXISTS, OVERLOADED, CLOSED.
   */
  run(request: RunRequest, signal: AbortSignal): ResponseQueue;
  /**
   * Ends one sequence of a running request with STOP and frees its blocks, at once or when the step that it is in returns.
   * Its siblings go on. A request or sequence that does not run is left alone.
   */
  stopSequence(requestId: string, index: number): void;
  snapshot(): EngineSnapshot;
  /** Ids of the requests that have not ended. */
  runningRequests(): readonly string[];
  /**
   * Refuses new requests, finishes those accepted, and ends what is left after `deadlineMs` with ERROR. Settles when no
   * step is in flight.
   */
  close(deadlineMs: number): Promise<void>;
  /** Like close, without waiting for requests. */
  stop(): Promise<void>;
}

/** Throws an EngineError when the limits contradict each other or the executor's. */
export function createEngine(options: EngineOptions): Engine {
  const { executor, model } = options;
  const wanted: EngineLimits = { ...defaultEngineLimits, ...options.limits };
  checkEngineLimits(wanted, executor.limits);
  const limits = { ...wanted, maxSequences: Math.min(wanted.maxSequences, wanted.maxBatchedTokens) };
  return new StepLoop({
    executor,
    model,
    limits,
    observer: options.observer ?? null,
    clock: options.clock ?? systemClock,
    filters: options.filters ?? null,
    cache: new Cache(
      new BlockManager({
        blockCount: executor.limits.kvBlocks,
        blockSize: executor.limits.blockSize,
        caching: options.prefixCaching ?? true,
        salt: options.salt ?? Math.floor(Math.random() * 2 ** 32),
      }),
      executor.limits.stateSlots > 0 ? new StateSlots(executor.limits.stateSlots) : null,
    ),
  });
}
