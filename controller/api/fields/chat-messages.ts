/**
 * Chat messages as clients send them, turned into what chat templates see.
 */
import { z } from 'zod';
import { invalidField, unsupportedField } from '../../errors.ts';
import { type JsonObject } from '../../model/checkpoint/checkpoint-files.ts';
import { isObject } from '../../model/config/json.ts';
import { type ChatInput, reservedNames } from '../../text/chat/chat-template.ts';
import { partTexts } from '../../text/chat/turns.ts';
import { type Json, memberOf, membersOf } from '../../text/json/exact-json.ts';
import { anObject, flag, list, refused, text } from './schema.ts';

const maxMessages = 16_384;
const maxParts = 16_384;
const maxTools = 1024;
const contentExpected = 'a text or an array of parts';

const contentPart = z.union(
  [z.string(), z.looseObject({ type: z.string('"text"'), text: z.string('a text').nullish() })],
  'a part with a type',
);

const message = z.looseObject(
  {
    role: z.string('a role such as "user"').min(1, 'a role such as "user"'),
    content: z.union([z.string(), list(contentPart, maxParts)], contentExpected).nullish(),
    tool_calls: list(z.unknown(), maxTools).nullish(),
  },
  'a JSON object',
);

const tool = z.looseObject({ type: z.string('"function"'), function: anObject.nullish() }, 'a JSON object');

const toolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string('a string') }) }),
  ],
  '"none", "auto", "required" or a named function',
);

/** Everything of a chat request that its template sees. */
export const chatInputFields = {
  messages: list(message, maxMessages, ({ input }) =>
    input === undefined || input === null ? 'at least one message' : 'an array',
  ),
  tools: list(tool, maxTools).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: flag,
  documents: list(anObject, maxTools).nullish(),
  reasoning_effort: text,
  add_generation_prompt: flag,
  continue_final_message: flag,
  chat_template_kwargs: anObject.nullish(),
  chat_template: refused('the template of the model is used; chat_template_kwargs can steer it'),
  functions: refused('is not supported: use tools'),
  function_call: refused('is not supported: use tool_choice', 'none', 'auto'),
};

export type ChatInputBody = z.output<z.ZodObject<typeof chatInputFields>>;
type Message = z.output<typeof message>;

/** `exact`: the body with the digits of its numbers, where they are known. */
export function readChatInput(body: ChatInputBody, exact: unknown = body): ChatInput {
  const { messages } = body;
  if (messages.length === 0) throw invalidField('messages', messages, 'at least one message');
  const continueFinalMessage = body.continue_final_message ?? false;
  const addGenerationPrompt = body.add_generation_prompt ?? !continueFinalMessage;
  if (continueFinalMessage && addGenerationPrompt) {
    throw invalidField('continue_final_message', true, 'false when add_generation_prompt is true');
  }
  messages.forEach((given, i) => checkMessage(given, `messages[${i}]`));
  checkTemplateArguments(body.chat_template_kwargs ?? {});
  const given = exact as Json;
  const list = (name: string): readonly Json[] | null => (memberOf(given, name) ?? null) as readonly Json[] | null;
  const effort = body.reasoning_effort ?? null;
  return {
    messages: list('messages') as readonly Json[],
    tools: calledTools(body) === null ? null : list('tools'),
    documents: list('documents'),
    addGenerationPrompt,
    continueFinalMessage,
    templateArguments: new Map([
      ...(effort === null ? [] : [['reasoning_effort', effort] as const]),
      ...membersOf(memberOf(given, 'chat_template_kwargs')),
    ]),
  };
}

function checkMessage(given: Message, path: string): void {
  if (isObject(given['audio'])) throw unsupportedField(`${path}.audio`, 'audio is not supported');
  const content = given.content ?? null;
  if (content === null && given.role !== 'assistant') throw invalidField(`${path}.content`, given.content, 'a text');
  if (Array.isArray(content)) content.forEach((part, i) => checkPart(part, `${path}.content[${i}]`));
}

function checkPart(part: z.output<typeof contentPart>, path: string): void {
  if (typeof part === 'string') return;
  const member = Object.hasOwn(partTexts, part.type) ? partTexts[part.type] : undefined;
  if (member === undefined) {
    const type = JSON.stringify(part.type.slice(0, 80));
    throw unsupportedField(`${path}.type`, `parts of type ${type} are not supported: this model takes text only`);
  }
  if (typeof part[member] !== 'string') throw invalidField(`${path}.${member}`, part[member], 'a text');
}

/** The text of a last message that the answer goes on with; null where it begins a message. */
export function continuedText({ messages, continue_final_message: continued }: ChatInputBody): string | null {
  if (continued !== true) return null;
  const content = messages.at(-1)?.content ?? '';
  return typeof content === 'string'
    ? content
    : content.map((part) => (typeof part === 'string' ? part : (part.text ?? ''))).join('\n');
}

/** The tools that a model may call; null for none. */
export function calledTools({ tools, tool_choice: choice }: ChatInputBody): readonly JsonObject[] | null {
  tools?.forEach((given, i) => {
    if (given.type !== 'function') throw unsupportedField(`tools[${i}].type`, 'only "function" is supported');
    const path = `tools[${i}].function`;
    if (!isObject(given.function)) throw invalidField(path, given.function, 'a JSON object');
    const { name, parameters = null } = given.function;
    if (typeof name !== 'string' || name === '') throw invalidField(`${path}.name`, name, 'the name of a function');
    if (parameters !== null && !isObject(parameters))
      throw invalidField(`${path}.parameters`, parameters, 'a JSON schema: a JSON object');
  });
  return choice === 'none' || tools === null || tools === undefined || tools.length === 0 ? null : tools;
}

function checkTemplateArguments(given: JsonObject): void {
  for (const name of Object.keys(given)) {
    if (reservedNames.has(name))
      throw invalidField(`chat_template_kwargs.${name}`, given[name], 'another name: this one has a meaning');
  }
}
