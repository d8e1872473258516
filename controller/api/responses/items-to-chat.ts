/** Items of the Responses API as the messages of chat completions. */
import { invalidField, unsupportedField } from '../../errors.ts';
import { isObject } from '../../model/config/json.ts';
import type { ChatInputBody } from '../fields/chat-messages.ts';
import type { Item } from './response-body.ts';

type ChatMessage = ChatInputBody['messages'][number];

/** What an assistant said and did in a row is one turn. */
interface AssistantTurn {
  reasoning: string | null;
  content: string | null;
  readonly calls: object[];
}

const roles: ReadonlySet<unknown> = new Set(['user', 'assistant', 'system', 'developer']);

/** `pathOf`: what errors call an item. */
export function messagesOf(items: readonly Item[], pathOf: (index: number) => string): ChatMessage[] {
  const messages: ChatMessage[] = [];
  let turn: AssistantTurn | null = null;
  const close = (): void => {
    if (turn !== null) messages.push(assistantMessage(turn));
    turn = null;
  };
  const open = (): AssistantTurn => (turn ??= { reasoning: null, content: null, calls: [] });
  items.forEach((item, i) => {
    const path = pathOf(i);
    const type = item.type ?? 'message';
    if (type === 'reasoning') {
      if (turn !== null && (turn.content !== null || turn.calls.length > 0)) close();
      open().reasoning = [turn?.reasoning ?? '', reasoningText(item)].filter((text) => text !== '').join('\n');
    } else if (type === 'function_call') {
      open().calls.push(toolCall(item, path));
    } else if (type === 'message' && item['role'] === 'assistant') {
      if (turn !== null && (turn.content !== null || turn.calls.length > 0)) close();
      open().content = contentOf(item['content'], `${path}.content`);
    } else {
      close();
      messages.push(type === 'message' ? otherMessage(item, path) : toolResult(item, type, path));
    }
  });
  close();
  return messages;
}

function assistantMessage({ reasoning, content, calls }: AssistantTurn): ChatMessage {
  return {
    role: 'assistant',
    content: content ?? (calls.length > 0 ? null : ''),
    ...(reasoning === null || reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function otherMessage(item: Item, path: string): ChatMessage {
  const role = item['role'];
  if (!roles.has(role)) throw invalidField(`${path}.role`, role, '"user", "assistant", "system" or "developer"');
  return { role: role as string, content: contentOf(item['content'], `${path}.content`) };
}

function toolResult(item: Item, type: string, path: string): ChatMessage {
  if (type !== 'function_call_output') {
    throw unsupportedField(`${path}.type`, `items of type ${JSON.stringify(type.slice(0, 80))} are not supported`);
  }
  const content = contentOf(item['output'], `${path}.output`);
  return { role: 'tool', tool_call_id: stringOf(item, 'call_id', path), content };
}

function toolCall(item: Item, path: string): object {
  const call = { name: stringOf(item, 'name', path), arguments: stringOf(item, 'arguments', path) };
  return { id: stringOf(item, 'call_id', path), type: 'function', function: call };
}

function reasoningText(item: Item): string {
  const parts = [item['content'], item['summary']].find((list) => Array.isArray(list) && list.length > 0);
  return (Array.isArray(parts) ? parts : [])
    .map((part: unknown) => (isObject(part) && typeof part['text'] === 'string' ? part['text'] : ''))
    .join('');
}

function contentOf(content: unknown, path: string): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw invalidField(path, content, 'a text or an array of parts');
  return content.map((part: unknown, i) => partText(part, `${path}[${i}]`)).join('\n');
}

function partText(part: unknown, path: string): string {
  if (!isObject(part) || typeof part['type'] !== 'string') throw invalidField(path, part, 'a part with a type');
  const type = part['type'];
  if (type === 'refusal') return stringOf(part, 'refusal', path);
  if (type === 'input_text' || type === 'output_text' || type === 'text') return stringOf(part, 'text', path);
  throw unsupportedField(`${path}.type`, `parts of type ${JSON.stringify(type.slice(0, 80))} are not supported`);
}

function stringOf(object: Readonly<Record<string, unknown>>, name: string, path: string): string {
  const value = object[name];
  if (typeof value === 'string') return value;
  throw invalidField(`${path}.${name}`, value, 'a string');
}
