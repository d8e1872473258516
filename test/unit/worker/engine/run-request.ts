import type { RunRequest, RunResponse } from '../../../../proto/messages.ts';

type Sampling = NonNullable<RunRequest['sampling']>;
type Limits = NonNullable<RunRequest['limits']>;

/** A greedy request; `limits` and `sampling` override its fields. */
export function runRequest(
  requestId: string,
  prompt: readonly number[],
  limits: Partial<Limits> = {},
  sampling: Partial<Sampling> = {},
  rest: Partial<Pick<RunRequest, 'n' | 'outputTokenIds' | 'constraint'>> = {},
): RunRequest {
  return {
    requestId,
    promptTokenIds: [...prompt],
    outputTokenIds: rest.outputTokenIds ?? [],
    sampling: { temperature: 0, logitBias: {}, seed: '0', ...sampling },
    limits: { stop: [], stopTokenIds: [], ignoreEos: false, ...limits },
    n: rest.n ?? 1,
    constraint: rest.constraint ?? null,
  };
}

export interface Collected {
  /** Per sequence. */
  readonly tokens: number[][];
  readonly logprobs: number[][];
  readonly reasons: (RunResponse['finishReason'] | null)[];
  readonly promptLogprobs: RunResponse['promptLogprobs'];
  readonly responses: RunResponse[];
}

/** What came of a request so far; fills as responses come. */
export function collected(n: number): Collected {
  return {
    tokens: Array.from({ length: n }, () => []),
    logprobs: Array.from({ length: n }, () => []),
    reasons: Array.from({ length: n }, () => null),
    promptLogprobs: [],
    responses: [],
  };
}

export async function collect(responses: AsyncIterable<RunResponse>, into: Collected): Promise<Collected> {
  for await (const response of responses) {
    into.responses.push(response);
    into.tokens[response.index]!.push(...response.tokenIds);
    into.logprobs[response.index]!.push(...response.logprobs.map(({ logprob }) => logprob));
    into.promptLogprobs.push(...response.promptLogprobs);
    if (response.finishReason !== 'FINISH_REASON_UNSPECIFIED') into.reasons[response.index] = response.finishReason;
  }
  return into;
}
