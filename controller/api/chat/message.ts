/** What a choice says, in the members that OpenAI's clients read: a whole message, or a part of one. */
import type { AnswerPart } from '../../text/answer/answer-part.ts';

/** A call of a tool, or what is new of it: only its first part has id and name. */
interface ToolCall {
  readonly index: number;
  readonly id?: string;
  readonly type?: 'function';
  readonly function: { readonly name?: string; arguments: string };
}

/** Texts by kind, and calls in their order. */
interface Said {
  readonly content: string;
  readonly reasoning: string;
  readonly calls: readonly ToolCall[];
}

/** The members of a chunk's `delta`; none for what says nothing. */
export function deltaOf(parts: readonly AnswerPart[]): object {
  const { content, reasoning, calls } = gather(parts);
  return {
    ...reasoningMembers(reasoning),
    ...(content === '' ? {} : { content }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

/** The members of a `delta` that says one text, as JSON without its braces; null for another part. */
export function textMembers(part: AnswerPart): string | null {
  if (part.kind !== 'content' && part.kind !== 'reasoning') return null;
  if (part.text === '') return '';
  const text = JSON.stringify(part.text);
  return part.kind === 'content' ? `"content":${text}` : `"reasoning_content":${text},"reasoning":${text}`;
}

/** A message as a document shows it: where only tools are called, its content is null. */
export function messageOf(parts: readonly AnswerPart[]): object {
  const { content, reasoning, calls } = gather(parts);
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    refusal: null,
    ...reasoningMembers(reasoning),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map((call) => ({ ...call, index: undefined })) }),
  };
}

/** Under both names that clients look for. */
function reasoningMembers(reasoning: string): object {
  return reasoning === '' ? {} : { reasoning_content: reasoning, reasoning };
}

function gather(parts: readonly AnswerPart[]): Said {
  let content = '';
  let reasoning = '';
  const calls = new Map<number, ToolCall>();
  for (const part of parts) {
    if (part.kind === 'content') content += part.text;
    else if (part.kind === 'reasoning') reasoning += part.text;
    else if (part.kind === 'tool-call') {
      const { index, id, name } = part;
      calls.set(index, { index, id, type: 'function', function: { name, arguments: '' } });
    } else {
      const call = calls.get(part.index) ?? { index: part.index, function: { arguments: '' } };
      call.function.arguments += part.text;
      calls.set(part.index, call);
    }
  }
  return { content, reasoning, calls: [...calls.values()] };
}
