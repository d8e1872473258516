/**
 * Chat messages as clients send them, turned into what chat templates see.
 */
import { invalidField, unsupportedField } from '../../errors.ts';
import { type JsonObject } from '../../model/checkpoint/checkpoint-files.ts';
import { isObject } from '../../model/config/json.ts';
import { type ChatInput, type ChatTurn, reservedNames } from '../../text/chat-template.ts';
import type { Fields } from './fields.ts';

const maxMessages = 16_384;
const maxTools = 1024;

/** Everything of a chat request that its template sees. */
export function readChatInput(fields: Fields): ChatInput {
  const messages = fields.objects('messages', maxMessages);
  if (messages === null || messages.length === 0) {
    throw invalidField('messages', messages ?? undefined, 'at least one message');
  }
  fields.refuse('chat_template', 'the template of the model is used; chat_template_kwargs can steer it');
  fields.refuse('functions', 'is not supported: use tools');
  fields.refuse('function_call', 'is not supported: use tool_choice', 'none', 'auto');
  const continueFinalMessage = fields.boolean('continue_final_message') ?? false;
  const addGenerationPrompt = fields.boolean('add_generation_prompt') ?? !continueFinalMessage;
  if (continueFinalMessage && addGenerationPrompt) {
    throw invalidField('continue_final_message', true, 'false when add_generation_prompt is true');
  }
  const effort = fields.string('reasoning_effort');
  return {
    messages: messages.map((message, i) => readTurn(message, `messages[${i}]`)),
    tools: readTools(fields),
    documents: fields.objects('documents', maxTools),
    addGenerationPrompt,
    continueFinalMessage,
    templateArguments: { ...(effort === null ? {} : { reasoning_effort: effort }), ...readTemplateArguments(fields) },
  };
}

function readTurn(message: JsonObject, path: string): ChatTurn {
  const role = message['role'];
  if (typeof role !== 'string' || role === '') throw invalidField(`${path}.role`, role, 'a role such as "user"');
  if (isObject(message['audio'])) throw unsupportedField(`${path}.audio`, 'audio is not supported');
  const content = readContent(message['content'] ?? null, `${path}.content`);
  if (content === null && role !== 'assistant') throw invalidField(`${path}.content`, message['content'], 'a text');
  const calls = message['tool_calls'] ?? null;
  if (calls === null) return { ...message, role, content };
  if (!Array.isArray(calls)) throw invalidField(`${path}.tool_calls`, calls, 'an array');
  return { ...message, role, content, tool_calls: calls.map(readToolCall) };
}

/** A text, or an array of text parts, joined by line ends. */
function readContent(content: unknown, path: string): string | null {
  if (content === null || typeof content === 'string') return content;
  if (!Array.isArray(content)) throw invalidField(path, content, 'a text or an array of parts');
  return content.map((part: unknown, i) => readPart(part, `${path}[${i}]`)).join('\n');
}

function readPart(part: unknown, path: string): string {
  if (typeof part === 'string') return part;
  if (!isObject(part)) throw invalidField(path, part, 'a part with a type');
  const type = part['type'];
  if (typeof type !== 'string') throw invalidField(`${path}.type`, type, '"text"');
  if (type !== 'text')
    throw unsupportedField(
      `${path}.type`,
      `parts of type ${JSON.stringify(type.slice(0, 80))} are not supported: this model takes text only`,
    );
  if (typeof part['text'] !== 'string') throw invalidField(`${path}.text`, part['text'], 'a text');
  return part['text'];
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

function readTools(fields: Fields): readonly JsonObject[] | null {
  const tools = fields.objects('tools', maxTools);
  const choice = fields.raw('tool_choice');
  if (choice !== null && choice !== 'none' && choice !== 'auto') {
    throw unsupportedField('tool_choice', 'only "auto" and "none" are supported: output is not constrained');
  }
  tools?.forEach((tool, i) => {
    if (tool['type'] !== 'function') throw unsupportedField(`tools[${i}].type`, 'only "function" is supported');
    if (!isObject(tool['function'])) throw invalidField(`tools[${i}].function`, tool['function'], 'a JSON object');
  });
  return choice === 'none' || tools?.length === 0 ? null : tools;
}

function readTemplateArguments(fields: Fields): JsonObject {
  const given = fields.jsonObject('chat_template_kwargs') ?? {};
  for (const name of Object.keys(given)) {
    if (reservedNames.has(name))
      throw invalidField(`chat_template_kwargs.${name}`, given[name], 'another name: this one has a meaning');
  }
  return given;
}
