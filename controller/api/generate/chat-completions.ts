/** POST /v1/chat/completions. */
import { invalidField } from '../../errors.ts';
import type { Generation, Served } from '../../gateway/inference.ts';
import { type AnswerHead, ChunkWriter } from '../answers/answer.ts';
import { ChatDocument, ChatStream } from '../answers/chat-answer.ts';
import { tokenNames } from '../answers/logprobs.ts';
import { UsageCounter } from '../answers/usage.ts';
import { chatBody, refuseOtherModalities } from '../fields/chat-body.ts';
import { readChatInput } from '../fields/chat-messages.ts';
import { readCommonFields, readStreamFields } from '../fields/common-body.ts';
import { encodePrompt, outputTokens } from '../fields/prompts.ts';
import { readBody } from '../fields/read-body.ts';
import type { Plan } from './plan.ts';

/** Checks a request and says how it is run and answered. */
export async function planChat(body: unknown, served: Served, head: AnswerHead, signal: AbortSignal): Promise<Plan> {
  const fields = readBody(chatBody, body);
  refuseOtherModalities(fields);
  const common = readCommonFields(fields, body, served);
  const stream = readStreamFields(fields);
  const logprobs = fields.logprobs ?? false;
  const topLogprobs = fields.top_logprobs ?? 0;
  if (topLogprobs > 0 && !logprobs)
    throw invalidField('top_logprobs', topLogprobs, 'nothing unless "logprobs" is true');
  const limit = (['max_completion_tokens', 'max_tokens'] as const).find((name) => (fields[name] ?? null) !== null);
  const asked = limit === undefined ? null : (fields[limit] ?? null);
  const names = tokenNames(served.text.table, fields.return_tokens_as_token_ids ?? false, 'replace');
  const text = await served.text.renderChat(readChatInput(fields), signal);
  const prompt = await encodePrompt(served, text, fields.add_special_tokens ?? false, 'messages', signal);
  const { maxModelLen } = served.model;
  const generation: Generation = {
    ...common,
    promptTokenIds: prompt.tokenIds,
    maxTokens: outputTokens(prompt.tokenIds.length, asked, maxModelLen, served, limit ?? 'messages'),
    logprobs: logprobs ? topLogprobs : null,
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
