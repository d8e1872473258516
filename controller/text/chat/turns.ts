/** Messages as clients send them, made what a chat template reads. */
import { isJsonObject, type Json, memberOf, membersOf, readExactJson, writeJson } from '../json/exact-json.ts';
import type { TemplateTraits } from './template-traits.ts';

/** A message as a template sees it. */
export type Turn = ReadonlyMap<string, Json>;

export function toTurns(messages: readonly Json[], traits: TemplateTraits): readonly Turn[] {
  return messages.map((message) => toTurn(message, traits));
}

function toTurn(message: Json, traits: TemplateTraits): Turn {
  const turn = new Map(membersOf(message));
  const role = roleOf(turn.get('role'), traits);
  turn.set('role', role);
  const calls = turn.get('tool_calls');
  const called = Array.isArray(calls) && calls.length > 0;
  if (called)
    turn.set(
      'tool_calls',
      (calls as readonly Json[]).map((call) => toCall(call, traits)),
    );
  else turn.delete('tool_calls');
  const given = turn.get('content') ?? null;
  const parts = Array.isArray(given) ? (given as readonly Json[]).map(readPart) : null;
  const text = parts?.filter(({ thought }) => !thought).map((part) => part.text) ?? given;
  turn.set('content', toContent(text, role, called, traits));
  const thoughts = parts?.flatMap((part) => (part.thought ? [part.text] : [])) ?? [];
  setReasoning(turn, thoughts.length === 0 ? null : thoughts.join('\n'));
  // What the model said goes before what it thought, where the template takes one of them.
  if (called && !traits.reasonsBesideText && (turn.get('content') ?? '') !== '') turn.delete('thinking');
  const answered = turn.get('tool_call_id');
  if (traits.shortIds && typeof answered === 'string') turn.set('tool_call_id', shortId(answered));
  return turn;
}

function roleOf(role: Json | undefined, { knowsDeveloper }: TemplateTraits): string {
  if (typeof role !== 'string') return '';
  return role === 'developer' && !knowsDeveloper ? 'system' : role;
}

/** `content`: a text, the texts of parts, or null. */
function toContent(content: Json, role: string, called: boolean, traits: TemplateTraits): Json {
  if (content === null) return called && traits.knowsNoContent ? null : '';
  const form = traits.content.get(role) ?? 'text';
  if (Array.isArray(content)) {
    const texts = content as readonly string[];
    return form === 'text' ? texts.join('\n') : texts.map((text) => ({ type: 'text', text }));
  }
  return form === 'parts' ? [{ type: 'text', text: content }] : content;
}

const thoughtTypes: ReadonlySet<unknown> = new Set(['reasoning', 'thinking']);

/** The types of parts that are texts, and the member that holds the text. */
export const partTexts: Readonly<Record<string, string>> = {
  text: 'text',
  input_text: 'text',
  output_text: 'text',
  refusal: 'refusal',
  reasoning: 'text',
  thinking: 'thinking',
};

function readPart(part: Json): { readonly text: string; readonly thought: boolean } {
  if (typeof part === 'string') return { text: part, thought: false };
  const type = memberOf(part, 'type');
  const text = memberOf(part, (typeof type === 'string' ? partTexts[type] : undefined) ?? 'text');
  return { text: typeof text === 'string' ? text : '', thought: thoughtTypes.has(type) };
}

/** Under the names that templates know, as transformers does it. */
function setReasoning(turn: Map<string, Json>, thoughts: string | null): void {
  const named = ['reasoning_content', 'thinking', 'reasoning'].map((key) => turn.get(key) ?? null);
  const reasoning = named.find((value) => value !== null) ?? thoughts;
  if (reasoning === null) return;
  if (!turn.has('thinking')) turn.set('thinking', reasoning);
  turn.set('reasoning_content', reasoning);
}

/** Arguments come as JSON text, or, against what the API says, as an object. */
function toCall(call: Json, traits: TemplateTraits): Json {
  const called = memberOf(call, 'function');
  if (!isJsonObject(called)) return call;
  const given = memberOf(called, 'arguments') ?? null;
  const members = new Map(membersOf(called));
  members.set('arguments', traits.arguments === 'text' ? argumentsText(given) : argumentsObject(given));
  const made = new Map(membersOf(call)).set('function', members);
  const id = made.get('id');
  if (traits.shortIds && typeof id === 'string') made.set('id', shortId(id));
  return made;
}

/** The end of an id, which tells ids apart, in nine letters or digits. */
function shortId(id: string): string {
  return id
    .replace(/[^a-zA-Z0-9]/g, '')
    .slice(-9)
    .padStart(9, '0');
}

function argumentsText(given: Json): Json {
  if (given === null || given === '') return '{}';
  return typeof given === 'string' ? given : writeJson(given);
}

/** What is no JSON object stays as it is. */
function argumentsObject(given: Json): Json {
  if (given === null || given === '') return new Map();
  if (typeof given !== 'string') return given;
  try {
    const read = readExactJson(given);
    return isJsonObject(read) ? read : given;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return given;
    throw error;
  }
}
