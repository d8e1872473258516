import type { StepOutput } from '../../../native/native.ts';
import type { RunResponse } from '../../../proto/messages.ts';
import type { StepPlan } from '../schedule/batch.ts';
import type { FinishReason } from '../schedule/sequence.ts';

type TokenLogprobs = RunResponse['logprobs'][number];

/** A response without tokens. */
export function emptyResponse(index: number, finishReason: FinishReason): RunResponse {
  return { index, tokenIds: [], logprobs: [], promptLogprobs: [], finishReason, cachedTokens: 0, queueMs: 0 };
}

/**
 * What a step brought for sequence `at` of its plan; null when that is nothing. The prompt's first position, which has no
 * probability, is reported as an entry without a token.
 */
export function stepResponse(plan: StepPlan, at: number, output: StepOutput): RunResponse | null {
  const sequence = plan.sequences[at]!;
  const first = at === 0 ? 0 : plan.logitsEnds[at - 1]!;
  const end = plan.logitsEnds[at]!;
  const sampled = plan.sampled[at] === 1;
  const scoredEnd = sampled || output.tokens[end - 1] === -1 ? end - 1 : end;
  const ended = sequence.state === 'ended';
  if (!sampled && !ended && scoredEnd === first && plan.scoringBegins[at] === 0) return null;
  const response = emptyResponse(sequence.index, ended ? sequence.finishReason : 'FINISH_REASON_UNSPECIFIED');
  if (plan.scoringBegins[at] === 1) response.promptLogprobs.push({ logprob: 0, topTokenIds: [], topLogprobs: [] });
  for (let entry = first; entry < scoredEnd; entry++) response.promptLogprobs.push(tokenLogprobs(output, entry));
  if (sampled) {
    response.tokenIds.push(output.tokens[end - 1]!);
    if (sequence.request.logprobs >= 0) response.logprobs.push(tokenLogprobs(output, end - 1));
  }
  return response;
}

function tokenLogprobs(output: StepOutput, entry: number): TokenLogprobs {
  const first = output.topOffsets[entry]!;
  const end = output.topOffsets[entry + 1]!;
  return {
    tokenId: output.tokens[entry]!,
    logprob: output.logprobs[entry]!,
    topTokenIds: Array.from(output.topTokens.subarray(first, end)),
    topLogprobs: Array.from(output.topLogprobs.subarray(first, end)),
  };
}

/** Throws when an executor's answer does not fit what it was asked for. */
export function checkStepOutput(output: StepOutput, plan: StepPlan, vocabSize: number): void {
  const count = plan.logitsCount;
  const { tokens, logprobs, topOffsets, topTokens, topLogprobs } = output;
  if (tokens.length !== count || logprobs.length !== count || topOffsets.length !== count + 1) {
    throw new Error(
      `step output: expected ${count} entries, got ${tokens.length} tokens, ${logprobs.length} logprobs and ${topOffsets.length} offsets`,
    );
  }
  const alternatives = topOffsets[count] ?? 0;
  if (topTokens.length < alternatives || topLogprobs.length < alternatives) {
    throw new Error(
      `step output: expected ${alternatives} alternatives, got ${topTokens.length} and ${topLogprobs.length}`,
    );
  }
  for (let entry = 0; entry < count; entry++) {
    const token = tokens[entry]!;
    if ((token < 0 && !(token === -1 && plan.filtered)) || token >= vocabSize) {
      throw new Error(`step output: expected a token id below ${vocabSize}, got ${token} in entry ${entry}`);
    }
  }
}
