/**
 * GenerateRequest and TokenizeRequest, checked by the same rules as their HTTP counterparts.
 */
import type { ChatMessages__Output as ChatMessages } from '../../../proto/generated/conclave/v1/ChatMessages.ts';
import type { GenerateRequest__Output as GenerateRequest } from '../../../proto/generated/conclave/v1/GenerateRequest.ts';
import type { SamplingParams__Output as SamplingParams } from '../../../proto/generated/conclave/v1/SamplingParams.ts';
import {
  eachSamplingParameter,
  engineValue,
  logitBias,
  type SamplingValues,
} from '../../../proto/sampling-parameters.ts';
import { invalidField, ServiceError } from '../../errors.ts';
import type { Generation, Served } from '../../gateway/inference.ts';
import { maxBiasEntries, maxLogprobs, maxSequencesPerPrompt, maxStopTokens, readStops } from '../fields/common-body.ts';
import { checkPromptTokens, encodePrompt, outputTokens } from '../fields/prompts.ts';
import { checkTokenIds, describe, inRange } from '../fields/schema.ts';

interface PromptFields {
  readonly text?: string;
  readonly tokenIds?: { readonly ids: readonly number[] } | null;
  readonly chat?: ChatMessages | null;
}

const whole = (addSpecialTokens: boolean) => ({ addSpecialTokens, lastTokens: null });

/** Token ids of a request's prompt; `which` says which of its forms is set. */
export async function readGrpcPrompt(
  which: 'text' | 'tokenIds' | 'chat' | null,
  fields: PromptFields,
  served: Served,
  signal: AbortSignal | null,
): Promise<readonly number[]> {
  if (which === 'text') return (await encodePrompt(served, fields.text ?? '', whole(true), 'text', signal)).tokenIds;
  if (which === 'tokenIds') return checkPromptTokens(fields.tokenIds?.ids ?? [], served, 'token_ids.ids');
  if (which === null)
    throw new ServiceError('INVALID_REQUEST', 'prompt: expected text, token ids or chat messages', { field: 'prompt' });
  const messages = fields.chat?.messages ?? [];
  if (messages.length === 0) throw invalidField('chat.messages', messages, 'at least one message');
  const rendered = await served.text.renderChat(
    {
      messages: messages.map(({ role, content }, i) => {
        if (role === '') throw invalidField(`chat.messages[${i}].role`, role, 'a role such as "user"');
        return { role, content };
      }),
      tools: null,
      documents: null,
      addGenerationPrompt: true,
      continueFinalMessage: false,
      templateArguments: {},
    },
    signal,
  );
  return (await encodePrompt(served, rendered, whole(false), 'chat.messages', signal)).tokenIds;
}

export async function planGenerate(request: GenerateRequest, served: Served, signal: AbortSignal): Promise<Generation> {
  const { model, text } = served;
  const limits = request.limits;
  const n = request.n === 0 ? 1 : request.n;
  if (n > maxSequencesPerPrompt) throw invalidField('n', n, `at most ${maxSequencesPerPrompt}`);
  const promptTokenIds = await readGrpcPrompt(request.prompt ?? null, request, served, signal);
  const asked = limits?.maxTokens ?? null;
  return {
    promptTokenIds,
    sampling: {
      ...readSampling(request.sampling, text.samplingDefaults),
      logitBias: readLogitBias(request.sampling, model.vocabSize),
    },
    seed: request.sampling?.seed === undefined ? null : BigInt(request.sampling.seed),
    n,
    maxTokens: outputTokens(promptTokenIds.length, asked, model.maxModelLen, served, 'limits.max_tokens'),
    ignoreEos: limits?.ignoreEos ?? false,
    stopTokenIds: readStopTokens(limits?.stopTokenIds ?? [], model.vocabSize),
    ...readStops(limits?.stop ?? [], 'limits.stop', served),
    shownTokens: new Set(),
    includeStop: false,
    skipSpecialTokens: true,
    constraint: null,
    logprobs: readLogprobs(limits?.logprobs, 'limits.logprobs'),
    promptLogprobs: readLogprobs(limits?.promptLogprobs, 'limits.prompt_logprobs'),
    textOffsets: false,
  };
}

function readSampling(params: SamplingParams | null, defaults: SamplingValues): SamplingValues {
  return eachSamplingParameter((parameter, key) => {
    const { name, clients } = parameter;
    const value = params?.[key];
    if (value === undefined) return defaults[key];
    if (!inRange(value, clients)) throw invalidField(`sampling.${name}`, value, `a number ${describe(clients)}`);
    return engineValue(parameter, value);
  });
}

function readStopTokens(ids: readonly number[], vocabSize: number): readonly number[] {
  const path = 'limits.stop_token_ids';
  if (ids.length > maxStopTokens) throw invalidField(path, ids, `at most ${maxStopTokens} entries`);
  return checkTokenIds(ids, path, vocabSize);
}

function readLogitBias(params: SamplingParams | null, vocabSize: number): Readonly<Record<number, number>> {
  const entries = Object.entries(params?.logitBias ?? {});
  if (entries.length > maxBiasEntries) {
    throw invalidField('sampling.logit_bias', params?.logitBias, `at most ${maxBiasEntries} entries`);
  }
  for (const [id, value] of entries) {
    if (Number(id) >= vocabSize) throw invalidField('sampling.logit_bias', id, `token ids below ${vocabSize} as keys`);
    if (!inRange(value, logitBias.clients)) {
      throw invalidField(`sampling.logit_bias.${id}`, value, `a number ${describe(logitBias.clients)}`);
    }
  }
  return params?.logitBias ?? {};
}

function readLogprobs(value: number | undefined, name: string): number | null {
  if (value === undefined) return null;
  if (value > maxLogprobs) throw invalidField(name, value, `at most ${maxLogprobs}`);
  return value;
}
