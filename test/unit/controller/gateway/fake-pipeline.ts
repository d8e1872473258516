import type { Pipeline } from '../../../../controller/gateway/pipeline.ts';
import type { RunRequest, RunResponse } from '../../../../proto/messages.ts';

/** Answers like an engine would, from a function of (sequence, position) instead of a model. */
export interface FakeOptions {
  /** Token of sequence `index` at output position `position`. */
  readonly token: (request: RunRequest, index: number, position: number) => number;
  readonly eosTokenIds?: readonly number[];
  /** Called before each response; a throw or a wait is the pipeline's own. */
  readonly before?: (request: RunRequest, index: number, position: number, signal: AbortSignal) => void | Promise<void>;
  /** Tokens per response. */
  readonly stride?: number;
  readonly maxModelLen?: number;
}

type TokenLogprobs = RunResponse['logprobs'][number];

export class FakePipeline implements Pipeline {
  readonly #options: FakeOptions;
  readonly requests: RunRequest[] = [];
  /** Runs that have not ended. */
  open = 0;
  /** Runs that ended before their last token because their consumer left or aborted. */
  abandoned = 0;
  /** Sequences that were to end, as "request.index". */
  readonly stopped = new Set<string>();

  constructor(options: FakeOptions) {
    this.#options = options;
  }

  async *run(request: RunRequest, signal: AbortSignal): AsyncGenerator<RunResponse> {
    this.requests.push(request);
    this.open++;
    let complete = false;
    try {
      yield* this.#answer(request, signal);
      complete = !signal.aborted;
    } finally {
      this.open--;
      if (!complete) this.abandoned++;
    }
  }

  stopSequence(requestId: string, index: number): void {
    this.stopped.add(`${requestId}.${index}`);
  }

  async *#answer(request: RunRequest, signal: AbortSignal): AsyncGenerator<RunResponse> {
    const { token, before, stride = 1, eosTokenIds = [], maxModelLen = Number.POSITIVE_INFINITY } = this.#options;
    const limits = request.limits!;
    const stops = new Set([...limits.stopTokenIds, ...(limits.ignoreEos ? [] : eosTokenIds)]);
    const maxTokens = Math.min(
      limits.maxTokens ?? Number.POSITIVE_INFINITY,
      maxModelLen - request.promptTokenIds.length,
    );
    const outputs = Array.from({ length: request.n }, (_, i) => [...(request.outputTokenIds[i]?.ids ?? [])]);
    const finished = outputs.map(() => false);
    let first = true;
    while (finished.includes(false)) {
      for (const [index, output] of outputs.entries()) {
        if (finished[index] === true) continue;
        await before?.(request, index, output.length, signal);
        if (signal.aborted) return;
        const response: RunResponse = {
          index,
          tokenIds: [],
          logprobs: [],
          promptLogprobs: [],
          finishReason: 'FINISH_REASON_UNSPECIFIED',
          cachedTokens: first ? 3 : 0,
          queueMs: first ? 1.5 : 0,
        };
        if (first && limits.promptLogprobs !== undefined) {
          response.promptLogprobs = request.promptTokenIds.map((id, p) =>
            p === 0 ? unscored : scored(id, p, limits.promptLogprobs!),
          );
        }
        first = false;
        const last = output.at(-1);
        let ended = (last !== undefined && stops.has(last)) || this.stopped.has(`${request.requestId}.${index}`);
        if (ended) response.finishReason = 'FINISH_REASON_STOP';
        for (let i = 0; i < stride && !ended && output.length < maxTokens; i++) {
          const id = token(request, index, output.length);
          response.tokenIds.push(id);
          if (limits.logprobs !== undefined) response.logprobs.push(scored(id, output.length, limits.logprobs));
          output.push(id);
          ended = stops.has(id);
          if (ended) response.finishReason = 'FINISH_REASON_STOP';
        }
        if (!ended && output.length >= maxTokens) response.finishReason = 'FINISH_REASON_LENGTH';
        finished[index] = response.finishReason !== 'FINISH_REASON_UNSPECIFIED';
        yield response;
      }
    }
  }
}

const unscored: TokenLogprobs = { logprob: 0, topTokenIds: [], topLogprobs: [] };

/** Made-up but recognisable scores: the token itself first, then its successors. */
function scored(tokenId: number, position: number, alternatives: number): TokenLogprobs {
  return {
    tokenId,
    logprob: -0.25 - position,
    topTokenIds: Array.from({ length: alternatives }, (_, i) => tokenId + i),
    topLogprobs: Array.from({ length: alternatives }, (_, i) => -0.25 - position - i),
  };
}

/** An error as pipelines throw them. */
export function codedError(code: string, message = code, field: string | null = null): Error {
  return Object.assign(new Error(message), { code, field });
}
