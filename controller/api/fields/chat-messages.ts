/**
 * Chat messages as clients send them, turned into what chat templates see.
 */
import { z } from 'zod';
import { invalidField, unsupportedField } from '../../errors.ts';
import { type JsonObject } from '../../model/checkpoint/checkpoint-files.ts';
import { isObject } from '../../model/config/json.ts';
import { type ChatInput, type ChatTurn, reservedNames } from '../../text/chat-template.ts';
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

export function readChatInput(body: ChatInputBody): ChatInput {
  const { messages } = body;
  if (messages.length === 0) throw invalidField('messages', messages, 'at least one message');
  const continueFinalMessage = body.continue_final_message ?? false;
  const addGenerationPrompt = body.add_generation_prompt ?? !continueFinalMessage;
  if (continueFinalMessage && addGenerationPrompt) {
    throw invalidField('continue_final_message', true, 'false when add_generation_prompt is true');
  }
  const effort = body.reasoning_effort ?? null;
  return {
    messages: messages.map((given, i) => readTurn(given, `messages[${i}]`)),
    tools: readTools(body),
    documents: body.documents ?? null,
    addGenerationPrompt,
    continueFinalMessage,
    templateArguments: {
      ...(effort === null ? {} : { reasoning_effort: effort }),
      ...readTemplateArguments(body.chat_template_kwargs ?? {}),
    },
  };
}

function readTurn(given: Message, path: string): ChatTurn {
  const { role, tool_calls: calls } = given;
  if (isObject(given['audio'])) throw unsupportedField(`${path}.audio`, 'audio is not supported');
  const content = readContent(given.content ?? null, `${path}.content`);
  if (content === null && role !== 'assistant') throw invalidField(`${path}.content`, given.content, 'a text');
  const turn = { ...given, role, content };
  return calls === null || calls === undefined ? turn : { ...turn, tool_calls: calls.map(readToolCall) };
}

/** A text, or an array of text parts, joined by line ends. */
function readContent(content: NonNullable<Message['content']> | null, path: string): string | null {
  if (content === null || typeof content === 'string') return content;
  return content.map((part, i) => readPart(part, `${path}[${i}]`)).join('\n');
}

function readPart(part: z.output<typeof contentPart>, path: string): string {
  if (typeof part === 'string') return part;
  if (part.type !== 'text') {
    const type = JSON.stringify(part.type.slice(0, 80));
    throw unsupportedField(`${path}.type`, `parts of type ${type} are not supported: this model takes text only`);
  }
  if (typeof part.text !== 'string') throw invalidField(`${path}.text`, part.text, 'a text');
  return part.text;
}

/** Templates expect arguments as an object; clients send them as JSON text. */
function readToolCall(call: unknown): unknown {
  const fn = isObject(call) ? call['function'] : undefined;
  if (!isObject(call) || !isObject(fn) || typeof fn['arguments'] !== 'string') return call;
  try {
    return { ...call, function: { ...fn, arguments: JSON.parse(fn['arguments'] || '{}') } };
  } catch {
    return call;
  }
}

function readTools({ tools, tool_choice: choice }: ChatInputBody): readonly JsonObject[] | null {
  if (choice === 'required' || (typeof choice === 'object' && choice !== null)) {
    throw unsupportedField('tool_choice', 'only "auto" and "none" are supported: output is not constrained');
  }
  tools?.forEach((given, i) => {
    if (given.type !== 'function') throw unsupportedField(`tools[${i}].type`, 'only "function" is supported');
    if (!isObject(given.function)) throw invalidField(`tools[${i}].function`, given.function, 'a JSON object');
  });
  return choice === 'none' || tools === null || tools === undefined || tools.length === 0 ? null : tools;
}

function readTemplateArguments(given: JsonObject): JsonObject {
  for (const name of Object.keys(given)) {
    if (reservedNames.has(name))
      throw invalidField(`chat_template_kwargs.${name}`, given[name], 'another name: this one has a meaning');
  }
  return given;
}
