/** `tool_choice` that asks for calls, and what an answer may begin with before what is asked of it. */
import { invalidField } from '../../errors.ts';
import { isObject } from '../../model/config/json.ts';
import { type AnswerFormats, enforcedFormat } from '../../text/answer/parser/answer-formats.ts';
import { beginsInside } from '../../text/answer/reasoning/reasoning-format.ts';
import type { CallGrammar } from '../../text/answer/tool-calls/tool-format.ts';
import type { CallsSpec, ConstraintSpec, Preamble } from '../../text/constraint/request/constraint-spec.ts';
import { type Json, memberOf, writeJson } from '../../text/json/exact-json.ts';
import { type ChatInputBody, calledTools } from '../fields/chat-messages.ts';

const harmonyCalls: Omit<CallGrammar, 'arguments'> = {
  prefix: '',
  between: '',
  suffix: '',
  beginCall: (name) => `<|channel|>commentary to=functions.${name} <|constrain|>json<|message|>`,
  endCall: '',
};

/** Null where the model is free to call. `exact`: the body with all digits of its numbers. */
export function forcedCalls(
  body: ChatInputBody & { readonly parallel_tool_calls?: boolean | null | undefined },
  exact: unknown,
  formats: AnswerFormats,
): ConstraintSpec | null {
  const { tool_choice: choice } = body;
  if (choice !== 'required' && !isObject(choice)) return null;
  const given = memberOf(exact as Json, 'tools');
  const tools = (calledTools(body) ?? []).map((tool, i) => ({
    name: String((tool['function'] as Readonly<Record<string, unknown>>)['name']),
    parameters: memberOf(memberOf(Array.isArray(given) ? given[i] : undefined, 'function'), 'parameters') ?? null,
    path: `tools[${i}].function.parameters`,
  }));
  const named = isObject(choice) ? (choice['function'] as { readonly name: string }).name : null;
  const allowed = named === null ? tools : tools.filter(({ name }) => name === named);
  if (tools.length === 0) throw invalidField('tool_choice', choice, '"auto" or "none" where there are no tools');
  if (allowed.length === 0) throw invalidField('tool_choice.function.name', named, 'the name of one of the tools');
  const grammar = callGrammar(formats);
  const calls: CallsSpec = {
    prefix: grammar.prefix,
    between: grammar.between,
    suffix: grammar.suffix,
    parallel: named === null && !formats.harmony && body.parallel_tool_calls !== false,
    tools: allowed.map(({ name, parameters, path }) => ({
      begin: grammar.beginCall(name),
      end: grammar.endCall,
      schema: parameters === null ? '{"type":"object","additionalProperties":false}' : writeJson(parameters),
      path,
    })),
  };
  return { kind: 'calls', calls, path: 'tool_choice' };
}

/** How calls are written: as the model does where its arguments are JSON, else as JSON in tags. */
function callGrammar(formats: AnswerFormats): Omit<CallGrammar, 'arguments'> {
  const grammar = formats.harmony ? harmonyCalls : enforcedFormat(formats).grammar;
  if (grammar === null) throw new Error(`calls of the format ${formats.toolParser} have no grammar`);
  return grammar;
}

/** What may come before a constrained answer; null: nothing. `continued`: the last message's text where the answer goes on with it. */
export function preamble(formats: AnswerFormats, prompt: string, continued: string | null): Preamble | null {
  if (formats.harmony) return { kind: 'harmony' };
  const { reasoning } = formats;
  const [begin] = reasoning?.begins ?? [];
  const [end] = reasoning?.ends ?? [];
  if (reasoning === null || begin === undefined || end === undefined) return null;
  return { kind: 'reasoning', begin, end, inside: beginsInside(reasoning, prompt, continued) };
}
