/** POST /v1/messages and /v1/messages/count_tokens, as Anthropic's clients expect them. */
import type { FastifyInstance } from 'fastify';
import type { Inference, Served } from '../../gateway/inference.ts';
import type { Json } from '../../text/json/exact-json.ts';
import type { AnswerHead } from '../answers/answer.ts';
import { anthropicErrors } from '../answers/error-format.ts';
import type { Plan } from '../answers/plan.ts';
import { UsageCounter } from '../answers/usage.ts';
import { ChoiceReaders } from '../chat/choice-reader.ts';
import { planConversation } from '../chat/plan-conversation.ts';
import { renamedFields } from '../chat/renamed-fields.ts';
import { readChatInput } from '../fields/chat-messages.ts';
import { exactBody } from '../fields/json-body.ts';
import { resolveModelName } from '../fields/model-name.ts';
import { readBody } from '../fields/read-body.ts';
import { MessageDocument, MessageStream } from './message-answer.ts';
import { countTokensBody, messageBody } from './message-body.ts';
import { conversationOf, exactConversation } from './to-chat.ts';

/** What fields of chat completions are called here. */
const names = {
  stop: 'stop_sequences',
  'response_format.json_schema': 'output_config.format',
  response_format: 'output_config.format',
  'tools[].function.parameters': 'tools[].input_schema',
  'tools[].function': 'tools[]',
  'tool_choice.function': 'tool_choice',
};

/** Checks a request and says how it is run and answered. */
export async function planMessage(body: unknown, served: Served, head: AnswerHead, signal: AbortSignal): Promise<Plan> {
  const fields = readBody(messageBody, body);
  const { max_tokens, temperature, top_p, top_k, stop_sequences: stop } = fields;
  const exact = exactBody(body) as Json;
  const conversation = conversationOf(fields, exact);
  const asked = { ...conversation, max_tokens, temperature, top_p, top_k, stop, stream: fields.stream };
  const exactAsked = exactConversation(conversation, exact);
  const { generation, answerParser } = await renamedFields(names, () =>
    planConversation(asked, body, served, signal, exactAsked),
  );
  const readers = new ChoiceReaders(1, answerParser);
  const usage = new UsageCounter(readers);
  const options = { promptTokens: generation.promptTokenIds.length, readers };
  return {
    generations: [generation],
    streamed: fields.stream ?? false,
    document: () => new MessageDocument(head, usage, options),
    stream(events) {
      const answer = new MessageStream(head, events, usage, options);
      return { answer, end: () => answer.end() };
    },
  };
}

export function addCountTokensRoute(app: FastifyInstance, inference: Inference): void {
  const { text } = inference;
  app.post('/v1/messages/count_tokens', { config: { errors: anthropicErrors } }, async (request) => {
    const fields = readBody(countTokensBody, request.body);
    resolveModelName(fields.model ?? null, inference);
    const exact = exactBody(request.body) as Json;
    const conversation = conversationOf(fields, exact);
    const input = readChatInput(conversation, exactConversation(conversation, exact));
    const rendered = await text.renderChat(input);
    return { input_tokens: (await text.encode(rendered, false, Number.MAX_SAFE_INTEGER)).length };
  });
}
