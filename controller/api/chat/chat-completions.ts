/** POST /v1/chat/completions. */
import type { Served } from '../../gateway/inference.ts';
import { type AnswerHead, ChunkWriter } from '../answers/answer.ts';
import { tokenNames } from '../answers/logprobs.ts';
import type { Plan } from '../answers/plan.ts';
import { UsageCounter } from '../answers/usage.ts';
import { chatBody } from '../fields/chat-body.ts';
import { readStreamFields } from '../fields/common-body.ts';
import { exactBody } from '../fields/json-body.ts';
import { readBody } from '../fields/read-body.ts';
import { ChatDocument, ChatStream } from './chat-answer.ts';
import { ChoiceReaders } from './choice-reader.ts';
import { planConversation } from './plan-conversation.ts';

/** Checks a request and says how it is run and answered. */
export async function planChat(body: unknown, served: Served, head: AnswerHead, signal: AbortSignal): Promise<Plan> {
  const fields = readBody(chatBody, body);
  const stream = readStreamFields(fields);
  const { generation, answerParser } = await planConversation(fields, body, served, signal, exactBody(body));
  const readers = new ChoiceReaders(generation.n, answerParser);
  const usage = new UsageCounter(readers);
  const options = {
    promptTokenIds: generation.promptTokenIds,
    names: tokenNames(served.text.table, fields.return_tokens_as_token_ids ?? false, 'replace'),
    logprobs: fields.logprobs ?? false,
    returnTokenIds: stream.returnTokenIds,
    readers,
    n: fields.n ?? 1,
    candidates: generation.n,
    promptLogprobs: generation.promptLogprobs,
  };
  return {
    generations: [generation],
    streamed: stream.stream,
    document: () => new ChatDocument(head, usage, options),
    stream(events) {
      const writer = new ChunkWriter(events, 'chat.completion.chunk', head, usage, stream);
      return { answer: new ChatStream(writer, usage, options), end: () => writer.end() };
    },
  };
}
