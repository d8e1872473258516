/** JSON as Python reads it: whole numbers keep their digits, 1.0 is a float, and keys keep their order. */

import { NumberText } from '../../../number-text.ts';
import { type Json, membersOf, readExactJson } from '../../json/exact-json.ts';
import { Dict } from './containers.ts';
import { valueError } from './template-error.ts';
import type { Value } from './value.ts';

/** What JavaScript's own values are in Python: a whole number is an int, an object a dictionary. */
export function fromJson(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return value;
  if (value instanceof NumberText) return /^-?\d+$/.test(value.text) ? BigInt(value.text) : Number(value.text);
  if (Array.isArray(value)) return value.map(fromJson);
  return new Dict(membersOf(value as Json).map(([key, item]) => [key, fromJson(item)]));
}

/** The members of a JSON object. Throws a JinjaError for other texts. */
export function parseJson(text: string): readonly (readonly [string, Value])[] {
  let value: Json;
  try {
    value = readExactJson(text);
  } catch (error) {
    throw error instanceof SyntaxError ? valueError(error.message) : error;
  }
  if (!(value instanceof Map)) throw valueError('expected a JSON object');
  return membersOf(value).map(([key, item]) => [key, fromJson(item)]);
}
