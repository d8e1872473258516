/** Schemas as they were sent: objects, but for numbers that JavaScript's own would change, which keep their digits. */
import { NumberText } from '../../../number-text.ts';
import { type Json, readExactJson } from '../../json/exact-json.ts';

export function readSchema(text: string): unknown {
  return plain(readExactJson(text));
}

function plain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item as Json)]));
  return value;
}

/** A value as JSON has it, with nothing between its parts. */
export function writeExact(value: unknown): string {
  if (value instanceof NumberText) return value.text;
  if (Array.isArray(value)) return `[${value.map(writeExact).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}:${writeExact(item)}`)
    .join()}}`;
}

export function numberOf(value: unknown): number | null {
  if (value instanceof NumberText) return Number(value.text);
  return typeof value === 'number' ? value : null;
}
