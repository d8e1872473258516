/**
 * The fields that chat and text completions share: how tokens are drawn, when generation ends. Names and meanings are
 * OpenAI's, and vLLM's where OpenAI has none.
 */
import {
  eachSamplingParameter,
  engineValue,
  logitBias,
  type SamplingValues,
} from '../../../proto/sampling-parameters.ts';
import { invalidField } from '../../errors.ts';
import type { Generation, Served } from '../../gateway/inference.ts';
import { compileStops, type StopPatterns } from '../../text/stop-texts.ts';
import { describe, type Fields, inRange } from './fields.ts';

export const maxLogprobs = 20;
export const maxSequencesPerPrompt = 128;
export const maxBiasEntries = 4096;
const maxStops = 64;
const maxStopLength = 4096;
export const maxStopTokens = 1024;
const loneSurrogate = /\p{Surrogate}/u;

/** Everything of a Generation but the prompt, its length, and log-probabilities. */
export type CommonFields = Pick<
  Generation,
  'sampling' | 'seed' | 'n' | 'ignoreEos' | 'stopTokenIds' | 'stop' | 'includeStop' | 'skipSpecialTokens'
>;

export interface StreamFields {
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Whether every chunk carries usage so far. */
  readonly continuousUsage: boolean;
  readonly returnTokenIds: boolean;
}

export function readCommonFields(fields: Fields, served: Served): CommonFields {
  refuseUnsupported(fields);
  const { samplingDefaults } = served.text;
  return {
    sampling: {
      ...readSampling(fields, samplingDefaults),
      logitBias: readLogitBias(fields, served.model.vocabSize),
    },
    seed: foldSeed(fields.integer64('seed')),
    n: fields.integer('n', { min: 1, max: maxSequencesPerPrompt }) ?? 1,
    ignoreEos: fields.boolean('ignore_eos') ?? false,
    stopTokenIds: fields.tokenIds('stop_token_ids', maxStopTokens, served.model.vocabSize) ?? [],
    stop: readStop(fields),
    includeStop: fields.boolean('include_stop_str_in_output') ?? false,
    skipSpecialTokens: fields.boolean('skip_special_tokens') ?? true,
  };
}

export function readStreamFields(fields: Fields): StreamFields {
  const stream = fields.boolean('stream') ?? false;
  const options = fields.object('stream_options');
  if (options !== null && !stream) {
    throw invalidField('stream_options', fields.raw('stream_options'), 'nothing unless "stream" is true');
  }
  return {
    stream,
    includeUsage: options?.boolean('include_usage') ?? false,
    continuousUsage: options?.boolean('continuous_usage_stats') ?? false,
    returnTokenIds: fields.boolean('return_token_ids') ?? false,
  };
}

function readSampling(fields: Fields, defaults: SamplingValues): SamplingValues {
  return eachSamplingParameter((parameter, key) => {
    const { name, clients, integer } = parameter;
    const value = integer ? fields.integer(name, clients) : fields.number(name, clients);
    return value === null ? defaults[key] : engineValue(parameter, value);
  });
}

/** Any integer of 64 bits as one in [0, 2^64); those below 0 in two's complement. */
function foldSeed(seed: bigint | null): bigint | null {
  return seed === null ? null : BigInt.asUintN(64, seed);
}

function readLogitBias(fields: Fields, vocabSize: number): Readonly<Record<number, number>> {
  const given = fields.jsonObject('logit_bias');
  if (given === null) return {};
  const entries = Object.entries(given);
  const path = fields.path('logit_bias');
  if (entries.length > maxBiasEntries) {
    throw invalidField(path, given, `at most ${maxBiasEntries} entries`);
  }
  const bias: Record<number, number> = {};
  for (const [key, value] of entries) {
    const id = /^\d{1,10}$/.test(key) ? Number(key) : -1;
    if (id < 0 || id >= vocabSize) throw invalidField(path, key, `token ids from 0 to ${vocabSize - 1} as keys`);
    if (typeof value !== 'number' || !inRange(value, logitBias.clients)) {
      throw invalidField(`${path}.${key}`, value, `a number ${describe(logitBias.clients)}`);
    }
    bias[id] = value;
  }
  return bias;
}

function readStop(fields: Fields): StopPatterns {
  const path = fields.path('stop');
  const given = fields.raw('stop');
  const list = given === null ? [] : typeof given === 'string' ? [given] : given;
  if (!Array.isArray(list)) throw invalidField(path, given, 'a string or an array of strings');
  return compileStops(checkStops(list, path));
}

/** Stop texts: bounded in number and length, not empty, well-formed Unicode. */
export function checkStops(list: readonly unknown[], path: string): readonly string[] {
  if (list.length > maxStops) throw invalidField(path, list, `at most ${maxStops} stop texts`);
  list.forEach((stop, i) => {
    const well = typeof stop === 'string' && stop !== '' && stop.length <= maxStopLength && !loneSurrogate.test(stop);
    if (!well) throw invalidField(`${path}[${i}]`, stop, `a text of 1 to ${maxStopLength} characters`);
  });
  return list as readonly string[];
}

/** Features that clients may ask for and that this server does not have. */
function refuseUnsupported(fields: Fields): void {
  const none = 'is not supported';
  fields.refuse('best_of', `${none}: ask for n`, fields.raw('n') ?? 1);
  fields.refuse('use_beam_search', `beam search ${none}`, false);
  fields.refuse('length_penalty', `beam search ${none}`, 1);
  fields.refuse('min_tokens', none, 0);
  fields.refuse('bad_words', `${none}: ask for logit_bias`);
  fields.refuse('allowed_token_ids', `${none}: ask for logit_bias`);
  fields.refuse('truncate_prompt_tokens', none);
  fields.refuse('prompt_logprobs', `${none}: ask for echo and logprobs in /v1/completions`);
  fields.refuse('logits_processors', none);
  fields.refuse('priority', none, 0);
  fields.refuse('cache_salt', none);
  fields.refuse('kv_transfer_params', none);
  for (const name of ['guided_json', 'guided_regex', 'guided_choice', 'guided_grammar', 'structured_outputs']) {
    fields.refuse(name, `structured output ${none}`);
  }
  const format = fields.object('response_format');
  format?.refuse('type', `structured output ${none}: only "text" is`, 'text');
}
