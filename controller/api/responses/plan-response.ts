/** POST /v1/responses. */
import { randomUUID } from 'node:crypto';
import { invalidField, unsupportedField } from '../../errors.ts';
import type { Served } from '../../gateway/inference.ts';
import { type Json, valueAt } from '../../text/json/exact-json.ts';
import type { AnswerHead } from '../answers/answer.ts';
import { tokenNames } from '../answers/logprobs.ts';
import type { Plan } from '../answers/plan.ts';
import { UsageCounter } from '../answers/usage.ts';
import { ChoiceReaders } from '../chat/choice-reader.ts';
import { planConversation } from '../chat/plan-conversation.ts';
import { renamedFields } from '../chat/renamed-fields.ts';
import type { ChatBody } from '../fields/chat-body.ts';
import { exactBody } from '../fields/json-body.ts';
import { readBody } from '../fields/read-body.ts';
import { messagesOf } from './items-to-chat.ts';
import { ResponseAnswer } from './response-answer.ts';
import { type Item, type ResponseBody, responseBody } from './response-body.ts';
import type { ResponseStore, StoredResponse } from './response-store.ts';

/** What fields of chat completions are called here. */
const names = {
  messages: 'input',
  max_tokens: 'max_output_tokens',
  'response_format.json_schema': 'text.format',
  response_format: 'text.format',
  'tools[].function': 'tools[]',
  'tool_choice.function': 'tool_choice',
};

/** Checks a request and says how it is run and answered. */
export async function planResponse(
  body: unknown,
  served: Served,
  head: AnswerHead,
  signal: AbortSignal,
  store: ResponseStore,
): Promise<Plan> {
  const fields = readBody(responseBody, body);
  const previous = previousOf(fields, store);
  const input = itemsOf(fields.input);
  const asked = chatOf(fields, input, previous);
  const { generation, answerParser } = await renamedFields(names, () =>
    planConversation(asked, body, served, signal, exactly(asked, body)),
  );
  const readers = new ChoiceReaders(1, answerParser);
  const usage = new UsageCounter(readers);
  const options = {
    body: fields,
    promptTokens: generation.promptTokenIds.length,
    readers,
    names: asked.logprobs === true ? tokenNames(served.text.table, false, 'replace') : null,
    keep: (response: Parameters<ResponseStore['keep']>[0]) => {
      if (fields.store ?? true) store.keep(response, input, previous);
    },
  };
  return {
    generations: [generation],
    streamed: fields.stream ?? false,
    document: () => new ResponseAnswer(head, null, usage, options),
    stream(events) {
      const answer = new ResponseAnswer(head, events, usage, options);
      return { answer, end: () => answer.end() };
    },
  };
}

function previousOf({ previous_response_id: id }: ResponseBody, store: ResponseStore): StoredResponse | null {
  if (id === null || id === undefined) return null;
  const previous = store.get(id);
  if (previous === null) throw invalidField('previous_response_id', id, 'the id of a response that is kept here');
  return previous;
}

/** Every item gets an id, by which clients list them. */
function itemsOf(input: ResponseBody['input']): readonly Item[] {
  const items: readonly Item[] =
    typeof input === 'string' ? [{ type: 'message', role: 'user', content: input }] : input;
  return items.map((item) => ({ ...item, type: item.type ?? 'message', id: item['id'] ?? `item_${randomUUID()}` }));
}

function chatOf(fields: ResponseBody, input: readonly Item[], previous: StoredResponse | null): ChatBody {
  const { instructions, temperature, top_p, top_logprobs, parallel_tool_calls, reasoning } = fields;
  const earlier = previous?.conversation ?? [];
  const pathOf = (index: number): string => `input[${index - earlier.length}]`;
  const turns = messagesOf([...earlier, ...input], pathOf);
  const system = instructions ? [{ role: 'system', content: instructions }] : [];
  const logprobs = (top_logprobs ?? 0) > 0 || fields.include?.includes('message.output_text.logprobs') === true;
  return {
    messages: [...system, ...turns],
    tools: fields.tools?.map(chatTool),
    tool_choice: chatToolChoice(fields.tool_choice),
    parallel_tool_calls,
    response_format: structure(fields.text?.format),
    reasoning_effort: reasoning?.effort,
    max_tokens: fields.max_output_tokens,
    ...{ temperature, top_p, logprobs, top_logprobs, stream: fields.stream },
  };
}

/** The request with all digits of its tools. */
function exactly(asked: ChatBody, body: unknown): object {
  const exact = exactBody(body) as Json;
  const tools = asked.tools?.map((tool, i) => ({
    ...tool,
    function: { ...tool.function, parameters: valueAt(exact, 'tools', i, 'parameters') },
  }));
  return { ...asked, tools };
}

function chatTool({ type, ...tool }: NonNullable<ResponseBody['tools']>[number], index: number) {
  if (type !== 'function') throw unsupportedField(`tools[${index}].type`, 'only "function" is supported');
  return { type, function: tool };
}

function chatToolChoice(choice: ResponseBody['tool_choice']): ChatBody['tool_choice'] {
  if (typeof choice !== 'object' || choice === null) return choice;
  if (choice.type !== 'function') throw unsupportedField('tool_choice.type', 'only "function" is supported');
  if (typeof choice.name !== 'string') throw invalidField('tool_choice.name', choice.name, 'the name of a function');
  return { type: 'function', function: { name: choice.name } };
}

function structure(format: NonNullable<ResponseBody['text']>['format']): ChatBody['response_format'] {
  if (format?.type !== 'json_schema') return format;
  const { type, ...schema } = format;
  return { type, json_schema: schema };
}
