import type { NativeSampling } from '../../../native/native.ts';
import type { RunRequest, TokenConstraint } from '../../../proto/messages.ts';
import { invalidArgument } from './errors.ts';
import type { EngineLimits } from './limits.ts';
import { toNativeSampling } from './sampling.ts';

/** What the engine must know of the model. */
export interface EngineModel {
  readonly vocabSize: number;
  /** Tokens that end a sequence unless the request ignores them. */
  readonly eosTokenIds: readonly number[];
}

/** A checked request, in the forms that steps use. */
export interface EngineRequest {
  readonly id: string;
  readonly prompt: Int32Array;
  /** Tokens generated before, per sequence; one entry for each of the request's sequences. */
  readonly outputs: readonly (readonly number[])[];
  /** Null: greedy without penalties or bias. */
  readonly sampling: NativeSampling | null;
  /** Whether sampling reads the tokens so far. */
  readonly penalised: boolean;
  /** Most tokens to generate per sequence, as the context allows. */
  readonly maxTokens: number;
  readonly stopTokens: ReadonlySet<number>;
  /** Which tokens may come; null: all. */
  readonly constraint: TokenConstraint | null;
  /** Alternatives to return per sampled token; -1: no log-probabilities. */
  readonly logprobs: number;
  /** Alternatives to return per prompt position; -1: prompt positions are not scored. */
  readonly promptLogprobs: number;
}

/** Checks a request. Throws INVALID_ARGUMENT with the field's path, its value and what was expected. */
export function checkRequest(request: RunRequest, model: EngineModel, limits: EngineLimits): EngineRequest {
  if (request.requestId === '') throw invalidArgument('request_id', 'expected an id, got ""');
  const count = request.n === 0 ? 1 : request.n;
  if (!Number.isSafeInteger(count) || count < 1 || count > limits.maxSequencesPerRequest) {
    throw invalidArgument('n', `expected 1 to ${limits.maxSequencesPerRequest}, got ${request.n}`);
  }
  const wanted = request.limits;
  if (wanted !== null && wanted.stop.length > 0) {
    throw invalidArgument('limits.stop', `stop texts are not for the engine, got ${wanted.stop.length} of them`);
  }
  const prompt = request.promptTokenIds;
  if (prompt.length === 0) throw invalidArgument('prompt_token_ids', 'expected at least one token, got none');
  const maxTokens = Math.min(wanted?.maxTokens ?? Number.POSITIVE_INFINITY, limits.maxModelLen - prompt.length);
  if (maxTokens < 0 || (maxTokens === 0 && wanted?.maxTokens !== 0)) {
    throw invalidArgument(
      'prompt_token_ids',
      `${prompt.length} prompt tokens leave no room for output: the context holds ${limits.maxModelLen} tokens`,
    );
  }
  checkTokens('prompt_token_ids', prompt, model.vocabSize);
  const stopTokens = wanted?.stopTokenIds ?? [];
  checkTokens('limits.stop_token_ids', stopTokens, model.vocabSize);
  const sampling = toNativeSampling(request.sampling, model.vocabSize);
  return {
    id: request.requestId,
    prompt: Int32Array.from(prompt),
    outputs: checkOutputs(request, count, model, limits),
    sampling,
    penalised:
      sampling !== null &&
      (sampling.repetitionPenalty !== 1 || sampling.presencePenalty !== 0 || sampling.frequencyPenalty !== 0),
    maxTokens,
    stopTokens: new Set(wanted?.ignoreEos === true ? stopTokens : [...stopTokens, ...model.eosTokenIds]),
    constraint: request.constraint,
    logprobs: checkAlternatives('limits.logprobs', wanted?.logprobs, model, limits),
    promptLogprobs: checkAlternatives('limits.prompt_logprobs', wanted?.promptLogprobs, model, limits),
  };
}

function checkOutputs(
  request: RunRequest,
  count: number,
  model: EngineModel,
  limits: EngineLimits,
): readonly (readonly number[])[] {
  const outputs = request.outputTokenIds;
  if (outputs.length === 0) return Array.from({ length: count }, () => []);
  if (outputs.length !== count) {
    throw invalidArgument('output_token_ids', `expected ${count} entries, one per sequence, got ${outputs.length}`);
  }
  return outputs.map(({ ids }, index) => {
    const field = `output_token_ids[${index}].ids`;
    checkTokens(field, ids, model.vocabSize);
    const length = request.promptTokenIds.length + ids.length;
    if (length > limits.maxModelLen) {
      throw invalidArgument(field, `prompt and output are ${length} tokens, the context holds ${limits.maxModelLen}`);
    }
    return ids;
  });
}

function checkTokens(field: string, ids: readonly number[], vocabSize: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw invalidArgument(`${field}[${i}]`, `expected a token id below ${vocabSize}, got ${id}`);
    }
  }
}

function checkAlternatives(field: string, value: number | undefined, model: EngineModel, limits: EngineLimits): number {
  if (value === undefined) return -1;
  if (!Number.isInteger(value) || value < 0 || value > limits.maxLogprobs) {
    throw invalidArgument(field, `expected 0 to ${limits.maxLogprobs}, got ${value}`);
  }
  return Math.min(value, model.vocabSize);
}
