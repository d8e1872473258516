/** Values that a format writes as plain text, made JSON by what the tool's schema says of them. */

import { readJson, type Sink } from '../reading/json-reader.ts';
import { Broken, PieceReader } from '../reading/piece-reader.ts';
import { numberToJson, pythonToJson } from '../reading/python-reader.ts';

/** What a value may be: types of JSON Schema, with "any" for all; null for what nothing is known of. */
export type ValueTypes = ReadonlySet<string> | null;

const textTypes = new Set(['string', 'str', 'text', 'varchar', 'char', 'enum']);
const prefixes = {
  integer: ['int', 'uint', 'long', 'short', 'unsigned'],
  number: ['num', 'float', 'double'],
  boolean: ['bool', 'binary'],
  object: ['object', 'dict', 'map'],
  array: ['array', 'arr', 'list'],
} as const;

/** Whether values are texts whatever they look like, so that they can be handed on as they come. */
export function isText(types: ValueTypes): boolean {
  return types === null || [...types].every((type) => textTypes.has(type));
}

/** The JSON of a value. What does not fit its types is a text. */
export function valueToJson(value: string, types: ValueTypes): string {
  if (isText(types)) return JSON.stringify(value);
  const allowed = [...(types as ReadonlySet<string>)];
  const any = allowed.includes('any');
  const may = (kind: keyof typeof prefixes): boolean =>
    any || allowed.some((type) => prefixes[kind].some((prefix) => type.startsWith(prefix)));
  const text = value.trim();
  const lower = text.toLowerCase();
  const texts = any || allowed.some((type) => textTypes.has(type));
  if ((lower === 'null' || lower === 'none') && (allowed.includes('null') || !texts || any)) return 'null';
  if ((may('boolean') || !texts) && (lower === 'true' || lower === 'false')) return lower;
  const number = may('integer') || may('number') || !texts ? numberToJson(text) : null;
  if (number !== null && (may('number') || /^-?\d+$/.test(number) || !may('integer'))) return asJson(text) ?? number;
  if (may('object') || may('array') || !texts) {
    const json = structure(text);
    if (json !== null) return json;
  }
  return JSON.stringify(value);
}

/** An object or array, also one that is written as a Python literal, or as JSON within a JSON string. */
function structure(text: string): string | null {
  const json = asJson(text) ?? pythonToJson(reader(text));
  if (json === null || /^[[{]/.test(json)) return json;
  if (!json.startsWith('"')) return null;
  const within = (JSON.parse(json) as string).trim();
  return /^[[{]/.test(within) ? (asJson(within) ?? pythonToJson(reader(within))) : null;
}

/** A text as it is where it is JSON. */
export function asJson(text: string): string | null {
  const source = reader(text);
  let json = '';
  const sink: Sink = (part) => {
    json += part;
  };
  try {
    readJson(source, sink).next();
    return source.ahead === '' ? json : null;
  } catch (error) {
    if (error instanceof Broken) return null;
    throw error;
  }
}

function reader(text: string): PieceReader {
  const source = new PieceReader();
  source.add(text);
  source.ended = true;
  return source;
}
