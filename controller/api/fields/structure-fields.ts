/**
 * What a request asks the text of its answer to be: OpenAI's `response_format`, vLLM's `structured_outputs`, and the `guided_*`
 * of its older versions.
 */
import { z } from 'zod';
import { invalidField, unsupportedField } from '../../errors.ts';
import type { ConstraintSpec } from '../../text/constraint/request/constraint-spec.ts';
import { type Json, memberOf, writeJson } from '../../text/json/exact-json.ts';
import { list, text } from './schema.ts';

const mostChoices = 4096;
const longest = 2 ** 20;
const choices = list(z.string('a string'), mostChoices).nullish();

export const structureFields = {
  response_format: z
    .looseObject(
      {
        type: z.string('a string').nullish(),
        json_schema: z.looseObject({ schema: z.unknown().optional() }, 'a JSON object').nullish(),
      },
      'a JSON object',
    )
    .nullish(),
  structured_outputs: z
    .looseObject(
      {
        json: z.unknown().optional(),
        regex: text,
        choice: choices,
        grammar: text,
        json_object: z.boolean('true or false').nullish(),
      },
      'a JSON object',
    )
    .nullish(),
  guided_json: z.unknown().optional(),
  guided_regex: text,
  guided_choice: choices,
  guided_grammar: text,
};

type StructureBody = z.output<z.ZodObject<typeof structureFields>>;

/** `exact`: the body with all digits of its numbers. Null where any text will do. */
export function readStructure(body: StructureBody, exact: unknown): ConstraintSpec | null {
  const asked = [...askedByFormat(body, exact as Json), ...askedByName(body, exact as Json)];
  const [first, second] = asked;
  if (second !== undefined) {
    throw invalidField(
      second.path,
      memberOf(exact as Json, second.path.split('.')[0]!),
      `nothing beside ${first?.path}`,
    );
  }
  return first ?? null;
}

function askedByFormat({ response_format: format }: StructureBody, exact: Json): readonly ConstraintSpec[] {
  const type = format?.type ?? 'text';
  if (type === 'text') return [];
  if (type === 'json_object') return [{ kind: 'json', schema: '{"type":"object"}', path: 'response_format' }];
  if (type !== 'json_schema') {
    throw unsupportedField('response_format.type', 'only "text", "json_object" and "json_schema" are supported');
  }
  const path = 'response_format.json_schema.schema';
  const schema = memberOf(memberOf(memberOf(exact, 'response_format'), 'json_schema'), 'schema');
  if (schema === undefined || schema === null) throw invalidField(path, schema, 'a JSON schema');
  return [{ kind: 'json', schema: schemaText(schema, path), path }];
}

function askedByName(body: StructureBody, exact: Json): readonly ConstraintSpec[] {
  const outputs = body.structured_outputs ?? {};
  for (const [key, value] of Object.entries(outputs)) {
    if (value === null || value === false || names.has(key) || ignored.has(key)) continue;
    throw unsupportedField(`structured_outputs.${key}`, `is not supported: ${[...names].join(', ')} are`);
  }
  return [
    ...read(memberOf(exact, 'structured_outputs') ?? {}, 'structured_outputs.', ''),
    ...(outputs.json_object === true
      ? [{ kind: 'json', schema: '{"type":"object"}', path: 'structured_outputs.json_object' } as const]
      : []),
    ...read(exact, '', 'guided_'),
  ];
}

const names: ReadonlySet<string> = new Set(['json', 'json_object', 'regex', 'choice', 'grammar']);
/** White space is as it is with us; other servers have ways to say how much there may be. */
const ignored: ReadonlySet<string> = new Set(['disable_fallback', 'disable_any_whitespace', 'backend']);

function read(from: Json, parent: string, prefix: string): readonly ConstraintSpec[] {
  const given = (name: string): Json => memberOf(from, `${prefix}${name}`) ?? null;
  const path = (name: string): string => `${parent}${prefix}${name}`;
  const [json, regex, choice, grammar] = ['json', 'regex', 'choice', 'grammar'].map(given);
  const asked: ConstraintSpec[] = [];
  if (json !== null && json !== undefined)
    asked.push({ kind: 'json', schema: schemaText(json, path('json')), path: path('json') });
  if (typeof regex === 'string')
    asked.push({ kind: 'regex', pattern: bounded(regex, path('regex')), path: path('regex') });
  if (Array.isArray(choice))
    asked.push({ kind: 'choice', choices: readChoices(choice, path('choice')), path: path('choice') });
  if (typeof grammar === 'string')
    asked.push({ kind: 'grammar', text: bounded(grammar, path('grammar')), path: path('grammar') });
  return asked;
}

function readChoices(given: readonly Json[], path: string): readonly string[] {
  if (given.length === 0) throw invalidField(path, given, 'one text or more');
  return given as readonly string[];
}

/** A schema is an object, true or false, or the text of one. */
function schemaText(schema: Json, path: string): string {
  if (typeof schema !== 'string') return bounded(writeJson(schema), path);
  try {
    JSON.parse(schema);
  } catch {
    throw invalidField(path, schema, 'a JSON schema');
  }
  return bounded(schema, path);
}

function bounded(value: string, path: string): string {
  if (value.length <= longest) return value;
  throw invalidField(path, value, `at most ${longest} characters`);
}
