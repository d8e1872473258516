/**
 * The life of a request between an API and a pipeline: admitted, run, resumed where a pipeline is lost, turned into text.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunRequest, RunResponse, TokenConstraint } from '../../proto/messages.ts';
import type { SamplingValues } from '../../proto/sampling-parameters.ts';
import { ServiceError, toServiceError } from '../errors.ts';
import { type Piece, SequenceText } from '../text/sequence-text.ts';
import type { StopPatterns } from '../text/stop-texts.ts';
import type { TextModel } from '../text/text-model.ts';
import { abortable } from './abortable.ts';
import { Admission } from './admission.ts';
import type { RequestObserver } from './observer.ts';
import { type AddOne, addNothing, PromptAnswer } from './prompt-answer.ts';
import { RequestMeter } from './request-meter.ts';
import { runResumable } from './resumable-run.ts';
import type { PipelineRouter } from './router.ts';
import { runPrompts } from './run-prompts.ts';

/** What is served. */
export interface ServedModel {
  /** Names that requests may use; the first is the one shown. */
  readonly names: readonly [string, ...string[]];
  /** Longest sequence, prompt and output together, in tokens. */
  readonly maxModelLen: number;
  readonly vocabSize: number;
  readonly eosTokenIds: readonly number[];
  /** All parameters, and those that one token uses. */
  readonly parameters: number;
  readonly activeParameters: number;
  /** ModelSpec.digest. */
  readonly digest: string;
  /** When serving began, in seconds since 1970. */
  readonly created: number;
}

/** What requests are read against. */
export interface Served {
  readonly model: ServedModel;
  readonly text: TextModel;
  /** Who asks: where work must wait, clients take turns. Absent: nobody in particular. */
  readonly client?: string;
}

/** A checked request for one prompt, in tokens. */
export interface Generation {
  readonly promptTokenIds: readonly number[];
  readonly sampling: SamplingValues & { readonly logitBias: Readonly<Record<number, number>> };
  /** In [0, 2^64); null: the server's own, or drawn at random. */
  readonly seed: bigint | null;
  readonly n: number;
  /** 0: only the prompt is scored. */
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly stopTokenIds: readonly number[];
  readonly stop: StopPatterns;
  /** Stop texts that are special tokens, by their ids: those end a sequence as tokens. */
  readonly stopTokenTexts: ReadonlyMap<number, string>;
  readonly includeStop: boolean;
  readonly skipSpecialTokens: boolean;
  /** Special tokens that texts show although others are skipped. */
  readonly shownTokens: ReadonlySet<number>;
  /** Alternatives per token; null: no log-probabilities. */
  readonly logprobs: number | null;
  readonly promptLogprobs: number | null;
  /** Which tokens may come; null: all. */
  readonly constraint: TokenConstraint | null;
  /** Whether pieces carry `textOffsets`. */
  readonly textOffsets: boolean;
}

/** What is known of a prompt when its first piece is there. */
export interface PromptResult {
  /** One entry per prompt position when asked for, else empty. */
  readonly promptLogprobs: RunResponse['promptLogprobs'];
  /** Prompt tokens whose cache was reused. */
  readonly cachedTokens: number;
}

/** What a request brought for one of its sequences. */
export interface Progress {
  readonly piece: Piece;
  /** With the first piece only. */
  readonly prompt: PromptResult | null;
}

/** Takes what a prompt brings. Returns a promise when the reader is slow; the next piece waits for it. */
export type AddProgress = (prompt: number, progress: Progress) => void | Promise<void>;

export interface InferenceOptions {
  readonly model: ServedModel;
  readonly text: TextModel;
  readonly router: PipelineRouter;
  readonly observer: RequestObserver;
  /** Requests at a time. */
  readonly maxRequests: number;
  /** Longest that a request may take, in milliseconds; null: no limit. */
  readonly requestTimeoutMs: number | null;
  /** Why requests cannot be answered now; empty: they can. */
  readonly obstacles: () => readonly string[];
  /** Whether requests are let in, and wait, although something is in their way now: it was not before, and may be gone soon. */
  readonly patient: () => boolean;
  /** What operators should know although requests can be answered. */
  readonly notices: () => readonly string[];
  readonly maxLostMs: number;
  /** Seed of requests that bring none; null: drawn at random for each. */
  readonly defaultSeed: bigint | null;
  readonly onLost: (requestId: string, error: unknown) => void;
  readonly now: () => number;
}

export class Inference implements Served {
  readonly model: ServedModel;
  readonly text: TextModel;
  readonly admission: Admission;
  readonly #options: InferenceOptions;
  readonly #eosTokenIds: ReadonlySet<number>;

  constructor(options: InferenceOptions) {
    this.model = options.model;
    this.text = options.text;
    this.admission = new Admission(options.maxRequests);
    this.#options = options;
    this.#eosTokenIds = new Set(options.model.eosTokenIds);
  }

  /** Why requests cannot be answered now; empty: they can. */
  obstacles(): readonly string[] {
    return this.admission.draining ? ['the server is shutting down'] : this.#options.obstacles();
  }

  /** Why no further client should be sent here; empty: they may be. */
  unreadiness(): readonly string[] {
    return this.admission.retiring ? ['the server is shutting down'] : this.obstacles();
  }

  /** What operators should know although requests can be answered. */
  notices(): readonly string[] {
    const { chatObstacle } = this.text;
    return [...(chatObstacle === null ? [] : [`chat is not served: ${chatObstacle}`]), ...this.#options.notices()];
  }

  /**
   * Lets a client's request in, and ends it when `deadlineMs` have passed, the client goes away (`work` gets the
   * controller to abort), or the server stops. Failures are ServiceErrors.
   */
  async admit<T>(deadlineMs: number | null, work: (controller: AbortController) => Promise<T>): Promise<T> {
    try {
      return await this.#admitted(deadlineMs, work);
    } catch (error) {
      const failure = toServiceError(error);
      this.#options.observer.onFailed(failure.openaiCode);
      throw failure;
    }
  }

  async #admitted<T>(deadlineMs: number | null, work: (controller: AbortController) => Promise<T>): Promise<T> {
    const obstacle = this.obstacles()[0];
    const waits = !this.admission.draining && this.#options.patient();
    if (obstacle !== undefined && !waits) throw new ServiceError('UNAVAILABLE', obstacle);
    const controller = this.admission.enter();
    const limits = [deadlineMs, this.#options.requestTimeoutMs].filter((limit) => limit !== null);
    const timer = limits.length === 0 ? undefined : setTimeout(expire, Math.min(...limits), controller);
    try {
      return await work(controller);
    } finally {
      clearTimeout(timer);
      this.admission.leave(controller);
    }
  }

  /** Runs all prompts of a request. The first failure ends them all. */
  async generateAll(
    generations: readonly Generation[],
    requestId: string,
    controller: AbortController,
    add: AddProgress,
  ): Promise<void> {
    const { signal } = controller;
    const run = (prompt: number, onAnswer: () => void): Promise<void> =>
      abortable(signal, () =>
        this.#generate(generations[prompt] as Generation, requestId, signal, (progress) => {
          onAnswer();
          return add(prompt, progress);
        }),
      );
    const wait = (ms: number): Promise<void> =>
      sleep(ms, undefined, { signal }).catch(() => {
        throw toServiceError(signal.reason);
      });
    try {
      await runPrompts({ prompts: generations.length, n: generations[0]?.n ?? 1, run, sleep: wait });
    } catch (error) {
      controller.abort(error);
      throw error;
    }
  }

  /** Runs one prompt, until all its sequences have ended. `requestId` is what logs of all parts call it. */
  async #generate(generation: Generation, requestId: string, signal: AbortSignal, add: AddOne): Promise<void> {
    if (generation.maxTokens === 0 && generation.promptLogprobs === null) return await addNothing(generation, add);
    const { observer, now, router, maxLostMs } = this.#options;
    const meter = new RequestMeter(observer, now, generation.promptTokenIds.length, generation.n);
    const answer = new PromptAnswer(this.#sequences(generation), meter, add);
    await runResumable(this.#runRequest(generation, requestId), signal, {
      router,
      maxAttempts: 100,
      maxLostMs,
      now,
      sleep: (ms, abort) => sleep(ms, undefined, { signal: abort }),
      take: (response) => answer.take(response),
      wants: (index) => answer.wants(index),
      over: () => answer.over,
      onLost: (lostId, error) => {
        observer.onRetried();
        this.#options.onLost(lostId, error);
      },
      onResumed: () => observer.onResumed(),
    });
    meter.onFinished();
  }

  #sequences(generation: Generation): SequenceText[] {
    const options = {
      table: this.text.table,
      prompt: generation.promptTokenIds,
      skipSpecialTokens: generation.skipSpecialTokens,
      shownTokens: generation.shownTokens,
      stop: generation.stop,
      includeStop: generation.includeStop,
      minTokens: generation.constraint?.minTokens ?? 0,
      stopTokenIds: new Set(generation.stopTokenIds),
      stopTokenTexts: generation.stopTokenTexts,
      eosTokenIds: generation.ignoreEos ? new Set<number>() : this.#eosTokenIds,
      textOffsets: generation.textOffsets,
    };
    return Array.from({ length: generation.n }, (_, index) => new SequenceText(index, options));
  }

  #runRequest(generation: Generation, requestId: string): RunRequest {
    return {
      // Clients may use an id twice; pipelines need one of its own for each run.
      requestId: `${requestId}-${randomUUID().slice(0, 8)}`,
      promptTokenIds: generation.promptTokenIds as number[],
      outputTokenIds: [],
      sampling: {
        ...generation.sampling,
        seed: String(generation.seed ?? this.#options.defaultSeed ?? randomInt(2 ** 48 - 1)),
      },
      limits: {
        maxTokens: generation.maxTokens,
        stop: [],
        stopTokenIds: [...generation.stopTokenIds, ...generation.stopTokenTexts.keys()],
        ignoreEos: generation.ignoreEos,
        ...(generation.logprobs === null ? {} : { logprobs: generation.logprobs }),
        ...(generation.promptLogprobs === null ? {} : { promptLogprobs: generation.promptLogprobs }),
      },
      n: generation.n,
      constraint: generation.constraint,
    };
  }
}

function expire(controller: AbortController): void {
  controller.abort(new ServiceError('DEADLINE_EXCEEDED', 'the request took longer than its deadline'));
}
