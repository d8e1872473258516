/**
 * The life of a request between an API and a pipeline: admitted, run, resumed where a pipeline is lost, turned into text.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunRequest, RunResponse } from '../../proto/messages.ts';
import { ServiceError, toServiceError } from '../errors.ts';
import { Admission } from './admission.ts';
import type { RequestObserver } from './observer.ts';
import { runResumable } from './resumable-run.ts';
import type { PipelineRouter } from './router.ts';
import { runPrompts } from './run-prompts.ts';
import type { SamplingDefaults } from './sampling-defaults.ts';
import { type Piece, SequenceText } from './sequence-text.ts';
import type { StopPatterns } from './stop-texts.ts';
import type { TextModel } from './text-model.ts';

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

/** A checked request for one prompt, in tokens. */
export interface Generation {
  readonly promptTokenIds: readonly number[];
  readonly sampling: SamplingDefaults & { readonly logitBias: Readonly<Record<number, number>> };
  /** Integer in [0, 2^53); null: the server's own, or drawn at random. */
  readonly seed: number | null;
  readonly n: number;
  /** 0: only the prompt is scored. */
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly stopTokenIds: readonly number[];
  readonly stop: StopPatterns;
  readonly includeStop: boolean;
  readonly skipSpecialTokens: boolean;
  /** Alternatives per token; null: no log-probabilities. */
  readonly logprobs: number | null;
  readonly promptLogprobs: number | null;
  /** Whether pieces carry `textOffsets`. */
  readonly textOffsets: boolean;
}

/** What is known when the first response is there. */
export interface PromptResult {
  /** One entry per prompt position when asked for, else empty. */
  readonly promptLogprobs: RunResponse['promptLogprobs'];
  /** Prompt tokens whose cache was reused. */
  readonly cachedTokens: number;
}

export interface GenerationConsumer {
  /** Called once, before the first piece. */
  onPrompt(result: PromptResult): void;
  /** Returns a promise when the reader is slow; the next piece waits for it. */
  onPiece(piece: Piece): void | Promise<void>;
}

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
  /** What operators should know although requests can be answered. */
  readonly notices: () => readonly string[];
  readonly maxLostMs: number;
  /** Seed of requests that bring none; null: drawn at random for each. */
  readonly defaultSeed: number | null;
  readonly onLost: (requestId: string, error: unknown) => void;
  readonly now: () => number;
}

export class Inference {
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

  /** What operators should know although requests can be answered. */
  notices(): readonly string[] {
    return this.#options.notices();
  }

  /**
   * Lets a client's request in, and ends it when `deadlineMs` have passed, the client goes away (`work` gets the
   * controller to abort), or the server stops. Failures are ServiceErrors.
   */
  async admit<T>(deadlineMs: number | null, work: (controller: AbortController) => Promise<T>): Promise<T> {
    const obstacle = this.obstacles()[0];
    if (obstacle !== undefined) throw new ServiceError('UNAVAILABLE', obstacle);
    const controller = this.admission.enter();
    const limits = [deadlineMs, this.#options.requestTimeoutMs].filter((limit) => limit !== null);
    const timer = limits.length === 0 ? undefined : setTimeout(expire, Math.min(...limits), controller);
    try {
      return await work(controller);
    } catch (error) {
      const failure = toServiceError(error);
      this.#options.observer.onFailed(failure.code);
      throw failure;
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
    consumerOf: (prompt: number) => GenerationConsumer,
  ): Promise<void> {
    const { signal } = controller;
    const run = (prompt: number, onAnswer: () => void): Promise<void> => {
      const consumer = consumerOf(prompt);
      return this.generate(generations[prompt] as Generation, requestId, signal, {
        onPrompt(result) {
          onAnswer();
          consumer.onPrompt(result);
        },
        onPiece: (piece) => consumer.onPiece(piece),
      });
    };
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

  /** Runs one prompt. Settles when all its sequences have ended. `requestId` is what logs of all parts call it. */
  async generate(
    generation: Generation,
    requestId: string,
    signal: AbortSignal,
    consumer: GenerationConsumer,
  ): Promise<void> {
    const { observer, now } = this.#options;
    const arrivedAt = now();
    const promptTokens = generation.promptTokenIds.length;
    const sequences = this.#sequences(generation);
    if (generation.maxTokens === 0 && generation.promptLogprobs === null) return answerNothing(generation, consumer);
    const lastTokenAt = sequences.map(() => 0);
    let promptLogprobs: RunResponse['promptLogprobs'] = [];
    let started = false;
    let prompted = false;
    let firstTokenAt: number | null = null;
    let queueMs = 0;
    let cachedTokens = 0;
    let running = sequences.length;

    const accept = (response: RunResponse): void | Promise<void> => {
      if (!started) {
        started = true;
        queueMs = response.queueMs;
        cachedTokens = response.cachedTokens;
        observer.onStarted(queueMs, promptTokens, cachedTokens);
      }
      if (response.promptLogprobs.length > 0) promptLogprobs = promptLogprobs.concat(response.promptLogprobs);
      const { index } = response;
      const sequence = sequences[index] as SequenceText;
      const piece = sequence.accept(response);
      if (piece === null || (piece.tokenIds.length === 0 && piece.finish === null)) return;
      if (piece.tokenIds.length > 0) {
        const at = now();
        const last = lastTokenAt[index] as number;
        if (firstTokenAt === null) {
          firstTokenAt = at;
          observer.onFirstToken(at - arrivedAt, queueMs);
        }
        observer.onTokens(piece.tokenIds.length, last === 0 ? null : at - last);
        lastTokenAt[index] = at;
      }
      if (!prompted) {
        prompted = true;
        consumer.onPrompt({ promptLogprobs, cachedTokens });
      }
      if (piece.finish !== null) {
        running--;
        observer.onSequenceEnded(piece.finish, sequence.tokens);
      }
      return consumer.onPiece(piece);
    };

    await runResumable(
      this.#runRequest(generation, requestId),
      signal,
      {
        accept,
        wants: (index) => sequences[index]?.ended === false,
        get done() {
          return running === 0;
        },
      },
      {
        router: this.#options.router,
        maxAttempts: 100,
        maxLostMs: this.#options.maxLostMs,
        now,
        sleep: (ms, abort) => sleep(ms, undefined, { signal: abort }),
        onLost: (requestId, error) => {
          observer.onLost();
          this.#options.onLost(requestId, error);
        },
      },
    );
    observer.onFinished(now() - arrivedAt, firstTokenAt === null ? 0 : Math.max(...lastTokenAt) - firstTokenAt);
  }

  #sequences(generation: Generation): SequenceText[] {
    const options = {
      table: this.text.table,
      prompt: generation.promptTokenIds,
      skipSpecialTokens: generation.skipSpecialTokens,
      stop: generation.stop,
      includeStop: generation.includeStop,
      stopTokenIds: new Set(generation.stopTokenIds),
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
        seed: generation.seed ?? this.#options.defaultSeed ?? randomInt(2 ** 48 - 1),
      },
      limits: {
        maxTokens: generation.maxTokens,
        stop: [],
        stopTokenIds: [...generation.stopTokenIds],
        ignoreEos: generation.ignoreEos,
        ...(generation.logprobs === null ? {} : { logprobs: generation.logprobs }),
        ...(generation.promptLogprobs === null ? {} : { promptLogprobs: generation.promptLogprobs }),
      },
      n: generation.n,
    };
  }
}

/** Nothing is to be generated and nothing to be scored: no pipeline is needed. */
async function answerNothing(generation: Generation, consumer: GenerationConsumer): Promise<void> {
  consumer.onPrompt({ promptLogprobs: [], cachedTokens: 0 });
  const finish = { reason: 'length', stop: null } as const;
  for (let index = 0; index < generation.n; index++) {
    await consumer.onPiece({ index, text: '', tokenIds: [], logprobs: [], textOffsets: [], finish });
  }
}

function expire(controller: AbortController): void {
  controller.abort(new ServiceError('DEADLINE_EXCEEDED', 'the request took longer than its deadline'));
}
