/**
 * The fields that chat and text completions share: how tokens are drawn, when generation ends. Names and meanings are
 * OpenAI's, and vLLM's where OpenAI has none.
 */
import { z } from 'zod';
import {
  eachSamplingParameter,
  engineValue,
  logitBias,
  type SamplingKey,
  type SamplingValues,
  samplingParameters,
} from '../../../proto/sampling-parameters.ts';
import { invalidField } from '../../errors.ts';
import type { Generation, Served } from '../../gateway/inference.ts';
import { compileStops } from '../../text/stop-texts.ts';
import { constraintFields } from './constraint-fields.ts';
import { integer64, integer64Range } from './json-body.ts';
import {
  anObject,
  checkTokenIds,
  describe,
  flag,
  inRange,
  integer,
  list,
  number,
  refused,
  text,
  tokenIds,
} from './schema.ts';
import { structureFields } from './structure-fields.ts';

export const maxLogprobs = 20;
export const maxSequencesPerPrompt = 128;
export const maxBiasEntries = 4096;
const maxStops = 64;
const maxStopLength = 4096;
export const maxStopTokens = 1024;
const loneSurrogate = /\p{Surrogate}/u;

type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? `${First extends Uppercase<First> ? '_' : ''}${Lowercase<First>}${SnakeCase<Rest>}`
  : '';
type SamplingName = SnakeCase<SamplingKey>;

const samplingFields = Object.fromEntries(
  Object.values(samplingParameters).map(({ name, clients, integer: whole }) => [
    name,
    whole ? integer(clients) : number(clients),
  ]),
) as Record<SamplingName, ReturnType<typeof number>>;

const none = 'is not supported';

export const maxTokensField = integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

export const commonFields = {
  model: text,
  ...samplingFields,
  logit_bias: anObject.nullish(),
  seed: z.unknown().optional().meta(integer64Range),
  n: integer({ min: 1, max: maxSequencesPerPrompt }),
  best_of: integer({ min: 1, max: maxSequencesPerPrompt }),
  prompt_logprobs: integer({ min: 0, max: maxLogprobs }),
  truncate_prompt_tokens: integer({ min: -1, max: Number.MAX_SAFE_INTEGER }),
  ...constraintFields,
  ignore_eos: flag,
  stop_token_ids: tokenIds(maxStopTokens),
  stop: z
    .union(
      [z.string(), list(z.unknown(), maxStops).meta({ items: { type: 'string' } })],
      'a string or an array of strings',
    )
    .nullish(),
  include_stop_str_in_output: flag,
  skip_special_tokens: flag,
  stream: flag,
  stream_options: z.looseObject({ include_usage: flag, continuous_usage_stats: flag }, 'a JSON object').nullish(),
  return_token_ids: flag,
  return_tokens_as_token_ids: flag,
  add_special_tokens: flag,
  use_beam_search: refused(`beam search ${none}`, false),
  length_penalty: refused(`beam search ${none}`, 1),
  logits_processors: refused(none),
  priority: refused(none, 0),
  cache_salt: refused(none),
  kv_transfer_params: refused(none),
  ...structureFields,
};

/** Which model a request means is read first. */
export const modelBody = z.looseObject({ model: text }, 'a JSON object');

export type CommonBody = z.output<z.ZodObject<typeof commonFields>>;

/** Everything of a Generation but the prompt, its length, and log-probabilities. */
export type CommonFields = Pick<
  Generation,
  | 'sampling'
  | 'seed'
  | 'n'
  | 'ignoreEos'
  | 'stopTokenIds'
  | 'stop'
  | 'stopTokenTexts'
  | 'shownTokens'
  | 'includeStop'
  | 'skipSpecialTokens'
>;

export interface StreamFields {
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Whether every chunk carries usage so far. */
  readonly continuousUsage: boolean;
  readonly returnTokenIds: boolean;
}

/** `sent`: the body as it came, whose numbers have all their digits. */
export function readCommonFields(body: CommonBody, sent: unknown, served: Served): CommonFields {
  const { vocabSize } = served.model;
  return {
    sampling: {
      ...readSampling(body, served.text.samplingDefaults),
      logitBias: readLogitBias(body.logit_bias ?? {}, vocabSize),
    },
    seed: foldSeed(integer64(sent, 'seed', body.seed)),
    n: readCandidates(body),
    ignoreEos: body.ignore_eos ?? false,
    stopTokenIds: checkTokenIds(body.stop_token_ids ?? [], 'stop_token_ids', vocabSize),
    ...readStops(typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []), 'stop', served),
    shownTokens: new Set<number>(),
    includeStop: body.include_stop_str_in_output ?? false,
    skipSpecialTokens: body.skip_special_tokens ?? true,
  };
}

/** Sequences of a prompt: with `best_of` more than are answered. */
function readCandidates({ n, best_of, stream }: CommonBody): number {
  const [answered, candidates] = [n ?? 1, best_of ?? n ?? 1];
  if (candidates < answered) throw invalidField('best_of', candidates, `at least n, which is ${answered}`);
  if (candidates > answered && stream === true) {
    throw invalidField('best_of', candidates, `n, which is ${answered}, where "stream" is true`);
  }
  return candidates;
}

/** Alternatives for each prompt token; null: they are not scored. */
export function readPromptLogprobs({ prompt_logprobs, stream }: CommonBody): number | null {
  if (prompt_logprobs === null || prompt_logprobs === undefined) return null;
  if (stream === true) throw invalidField('prompt_logprobs', prompt_logprobs, 'nothing where "stream" is true');
  return prompt_logprobs;
}

export function readStreamFields(body: CommonBody): StreamFields {
  const stream = body.stream ?? false;
  const options = body.stream_options ?? null;
  if (options !== null && !stream) throw invalidField('stream_options', options, 'nothing unless "stream" is true');
  return {
    stream,
    includeUsage: options?.include_usage ?? false,
    continuousUsage: options?.continuous_usage_stats ?? false,
    returnTokenIds: body.return_token_ids ?? false,
  };
}

function readSampling(body: Pick<CommonBody, SamplingName>, defaults: SamplingValues): SamplingValues {
  return eachSamplingParameter((parameter, key) => {
    const value = body[parameter.name as SamplingName] ?? null;
    return value === null ? defaults[key] : engineValue(parameter, value);
  });
}

/** Any integer of 64 bits as one in [0, 2^64); those below 0 in two's complement. */
function foldSeed(seed: bigint | null): bigint | null {
  return seed === null ? null : BigInt.asUintN(64, seed);
}

function readLogitBias(given: Readonly<Record<string, unknown>>, vocabSize: number): Readonly<Record<number, number>> {
  const entries = Object.entries(given);
  if (entries.length > maxBiasEntries) throw invalidField('logit_bias', given, `at most ${maxBiasEntries} entries`);
  const bias: Record<number, number> = {};
  for (const [key, value] of entries) {
    const id = /^\d{1,10}$/.test(key) ? Number(key) : -1;
    if (id < 0 || id >= vocabSize)
      throw invalidField('logit_bias', key, `token ids from 0 to ${vocabSize - 1} as keys`);
    if (typeof value !== 'number' || !inRange(value, logitBias.clients)) {
      throw invalidField(`logit_bias.${key}`, value, `a number ${describe(logitBias.clients)}`);
    }
    bias[id] = value;
  }
  return bias;
}

/** Stop texts; those that are special tokens, which texts leave out, stop as tokens. */
export function readStops(given: readonly unknown[], path: string, { text }: Served): StopFields {
  const stops = checkStops(given, path);
  const tokens = stops.flatMap((stop) => {
    const id = text.specialTokens.get(stop);
    return id === undefined ? [] : [[id, stop] as const];
  });
  return { stop: compileStops(stops), stopTokenTexts: new Map(tokens) };
}

type StopFields = Pick<Generation, 'stop' | 'stopTokenTexts'>;

/** Stop texts: bounded in number and length, not empty, well-formed Unicode. */
export function checkStops(stops: readonly unknown[], path: string): readonly string[] {
  if (stops.length > maxStops) throw invalidField(path, stops, `at most ${maxStops} stop texts`);
  stops.forEach((stop, i) => {
    const well = typeof stop === 'string' && stop !== '' && stop.length <= maxStopLength && !loneSurrogate.test(stop);
    if (!well) throw invalidField(`${path}[${i}]`, stop, `a text of 1 to ${maxStopLength} characters`);
  });
  return stops as readonly string[];
}
