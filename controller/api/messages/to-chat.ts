/** A request of Anthropic's API in the terms of chat completions. `exact` are bodies whose numbers have all their digits. */
import { invalidField, unsupportedField } from '../../errors.ts';
import { isObject } from '../../model/config/json.ts';
import { type Json, valueAt, writeJson } from '../../text/json/exact-json.ts';
import type { ChatInputBody } from '../fields/chat-messages.ts';
import type { CommonBody } from '../fields/common-body.ts';
import type { Block, CountTokensBody } from './message-body.ts';

type Structure = NonNullable<CommonBody['response_format']>;
type ChatMessage = ChatInputBody['messages'][number];

export function conversationOf(
  body: CountTokensBody,
  exact: Json,
): ChatInputBody & { readonly response_format?: Structure } {
  const { system, messages, tools, tool_choice: choice, thinking, output_config: output } = body;
  return {
    messages: [
      ...(system === null || system === undefined ? [] : [{ role: 'system', content: textOf(system, 'system') }]),
      ...messages.flatMap(({ role, content }, i) => {
        const path = `messages[${i}].content`;
        if (typeof content === 'string') return [{ role, content }];
        return role === 'user'
          ? userTurns(content, path)
          : [assistantTurn(content, path, valueAt(exact, 'messages', i))];
      }),
    ],
    tools: tools?.map((tool, i) => {
      const type = tool.type ?? 'custom';
      if (type !== 'custom')
        throw unsupportedField(`tools[${i}].type`, 'only tools of the client, "custom", are supported');
      const { name, description, input_schema: parameters } = tool;
      if (!isObject(parameters)) throw invalidField(`tools[${i}].input_schema`, parameters, 'a JSON object');
      return { type: 'function', function: { name, ...(description ? { description } : {}), parameters } };
    }),
    tool_choice: toolChoice(choice),
    parallel_tool_calls: choice?.disable_parallel_tool_use === true ? false : null,
    // Templates know this switch by different names.
    chat_template_kwargs: thinking && {
      enable_thinking: thinking.type !== 'disabled',
      thinking: thinking.type !== 'disabled',
    },
    reasoning_effort: output?.effort ?? null,
    ...(isObject(output?.format) ? { response_format: structure(output.format) } : {}),
  };
}

/** The conversation with all digits of its tools. */
export function exactConversation(conversation: ChatInputBody, exact: Json): object {
  const tools = conversation.tools?.map((tool, i) => ({
    ...tool,
    function: { ...tool.function, parameters: valueAt(exact, 'tools', i, 'input_schema') },
  }));
  return { ...conversation, tools };
}

function toolChoice(choice: CountTokensBody['tool_choice']): ChatInputBody['tool_choice'] {
  if (choice === null || choice === undefined || choice.type === 'auto') return null;
  if (choice.type === 'any') return 'required';
  if (choice.type === 'none') return 'none';
  if (typeof choice.name !== 'string') throw invalidField('tool_choice.name', choice.name, 'the name of a tool');
  return { type: 'function', function: { name: choice.name } };
}

function structure(format: Readonly<Record<string, unknown>>): Structure {
  if (format['type'] !== 'json_schema')
    throw invalidField('output_config.format.type', format['type'], '"json_schema"');
  return { type: 'json_schema', json_schema: { name: 'output', strict: true, schema: format['schema'] } };
}

/** Results of tools are turns of their own; what stands between them is the user's. */
function userTurns(blocks: readonly Block[], path: string): ChatMessage[] {
  const turns: ChatMessage[] = [];
  let said: { type: string; text: string }[] = [];
  const flush = (): void => {
    if (said.length > 0) turns.push({ role: 'user', content: said });
    said = [];
  };
  blocks.forEach((block, i) => {
    const at = `${path}[${i}]`;
    if (block.type !== 'tool_result') {
      said.push({ type: 'text', text: blockText(block, at) });
      return;
    }
    flush();
    const id = block['tool_use_id'];
    if (typeof id !== 'string') throw invalidField(`${at}.tool_use_id`, id, 'the id of a tool use');
    turns.push({ role: 'tool', tool_call_id: id, content: textOf(block['content'] ?? '', `${at}.content`) });
  });
  flush();
  return turns.length === 0 ? [{ role: 'user', content: '' }] : turns;
}

function assistantTurn(blocks: readonly Block[], path: string, exact: Json | undefined): ChatMessage {
  const texts: string[] = [];
  const thoughts: string[] = [];
  const calls: object[] = [];
  blocks.forEach((block, i) => {
    const at = `${path}[${i}]`;
    if (block.type === 'tool_use') calls.push(toolCall(block, at, valueAt(exact, 'content', i, 'input')));
    else if (block.type === 'thinking') thoughts.push(stringOf(block, 'thinking', at));
    // Only its maker can read it.
    else if (block.type !== 'redacted_thinking') texts.push(blockText(block, at));
  });
  return {
    role: 'assistant',
    content: texts.length === 0 && calls.length > 0 ? null : texts.join(''),
    ...(thoughts.length === 0 ? {} : { reasoning_content: thoughts.join('\n') }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function toolCall(block: Block, path: string, exactInput: Json | undefined): object {
  const input = block['input'];
  if (!isObject(input)) throw invalidField(`${path}.input`, input, 'a JSON object');
  const call = { name: stringOf(block, 'name', path), arguments: writeJson(exactInput) };
  return { id: stringOf(block, 'id', path), type: 'function', function: call };
}

/** Texts of blocks, joined as they stand. */
function textOf(content: unknown, path: string): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw invalidField(path, content, 'a text or an array of content blocks');
  return content
    .map((block: unknown, i) => {
      const at = `${path}[${i}]`;
      if (!isObject(block)) throw invalidField(at, block, 'a content block with a type');
      return blockText(block, at);
    })
    .join('\n');
}

function blockText(block: Readonly<Record<string, unknown>>, path: string): string {
  if (block['type'] === 'text') return stringOf(block, 'text', path);
  const type = JSON.stringify(String(block['type']).slice(0, 80));
  throw unsupportedField(`${path}.type`, `content blocks of type ${type} are not supported here`);
}

function stringOf(block: Readonly<Record<string, unknown>>, name: string, path: string): string {
  const value = block[name];
  if (typeof value === 'string') return value;
  throw invalidField(`${path}.${name}`, value, 'a text');
}
