/** POST /v1/chat/completions. */
import { invalidField } from '../../errors.ts';
import type { Generation, Served } from '../../gateway/inference.ts';
import { type AnswerHead, ChunkWriter } from '../answers/answer.ts';
import { ChatDocument, ChatStream } from '../answers/chat-answer.ts';
import { tokenNames } from '../answers/logprobs.ts';
import { UsageCounter } from '../answers/usage.ts';
import { readChatInput } from '../fields/chat-messages.ts';
import { Fields } from '../fields/fields.ts';
import { encodePrompt, outputTokens } from '../fields/prompts.ts';
import { maxLogprobs, readCommonFields, readStreamFields } from '../fields/sampling-fields.ts';
import type { Plan } from './plan.ts';

/** Checks a request and says how it is run and answered. */
export async function planChat(body: unknown, served: Served, head: AnswerHead, signal: AbortSignal): Promise<Plan> {
  const fields = new Fields(body);
  refuseUnsupported(fields);
  const common = readCommonFields(fields, served);
  const stream = readStreamFields(fields);
  const logprobs = fields.boolean('logprobs') ?? false;
  const topLogprobs = fields.integer('top_logprobs', { min: 0, max: maxLogprobs });
  if (topLogprobs !== null && topLogprobs > 0 && !logprobs) {
    throw invalidField('top_logprobs', topLogprobs, 'nothing unless "logprobs" is true');
  }
  const asked = ['max_completion_tokens', 'max_tokens'].map((name) => ({
    name,
    value: fields.integer(name, { min: 0, max: Number.MAX_SAFE_INTEGER }),
  }));
  const maxTokens = asked.find(({ value }) => value !== null) ?? { name: 'messages', value: null };
  const names = tokenNames(served.text.table, fields.boolean('return_tokens_as_token_ids') ?? false, 'replace');
  const text = await served.text.renderChat(readChatInput(fields), signal);
  const addSpecialTokens = fields.boolean('add_special_tokens') ?? false;
  const prompt = await encodePrompt(served, text, addSpecialTokens, 'messages', signal);
  const { maxModelLen } = served.model;
  const generation: Generation = {
    ...common,
    promptTokenIds: prompt.tokenIds,
    maxTokens: outputTokens(prompt.tokenIds.length, maxTokens.value, maxModelLen, served, maxTokens.name),
    logprobs: logprobs ? (topLogprobs ?? 0) : null,
    promptLogprobs: null,
    textOffsets: false,
  };
  const usage = new UsageCounter();
  const options = { promptTokenIds: prompt.tokenIds, names, logprobs, returnTokenIds: stream.returnTokenIds };
  return {
    generations: [generation],
    streamed: stream.stream,
    document: () => new ChatDocument(head, common.n, usage, options),
    stream(events) {
      const writer = new ChunkWriter(events, 'chat.completion.chunk', head, usage, stream);
      return { answer: new ChatStream(writer, usage, options), end: () => writer.end() };
    },
  };
}

function refuseUnsupported(fields: Fields): void {
  const none = 'is not supported';
  fields.refuse('audio', `audio ${none}`);
  const modalities = fields.array('modalities', 16) ?? [];
  if (modalities.some((modality) => modality !== 'text')) fields.refuse('modalities', `only "text" is supported`);
  fields.refuse('prediction', none);
  fields.refuse('web_search_options', none);
  fields.refuse('store', none, false);
  fields.refuse('echo', `${none} for chat: use /v1/completions`, false);
}
