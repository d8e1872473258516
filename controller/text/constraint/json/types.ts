/** The types of JSON values, and equality of values. */
import { NumberText } from '../../../number-text.ts';
import { isJsonObject, keyword, type Located } from './located.ts';
import { numberOf, writeExact } from './read-schema.ts';
import { UnsupportedSchema } from './unsupported-schema.ts';

export const types = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type Type = (typeof types)[number];

/** The types that a schema's own `type` allows; null where it has none. */
export function typesAt({ schema, path }: Located): ReadonlySet<Type> | null {
  const value = keyword(schema, 'type');
  if (value === undefined) return null;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  for (const type of list) {
    if (!types.includes(type as Type))
      throw new UnsupportedSchema(`${path}.type`, `expected ${types.join(', ')}, got ${JSON.stringify(type)}`);
  }
  return new Set(list as readonly Type[]);
}

/** The values that `enum` and `const` leave; null where there is neither. */
export function valuesAt({ schema, path }: Located): readonly unknown[] | null {
  const list = keyword(schema, 'enum');
  if (list !== undefined && !Array.isArray(list)) throw new UnsupportedSchema(`${path}.enum`, 'expected an array');
  const value = keyword(schema, 'const');
  if (value === undefined) return list === undefined ? null : (list as readonly unknown[]);
  return list === undefined || (list as unknown[]).some((item) => equal(item, value)) ? [value] : [];
}

export function typeOf(value: unknown): Exclude<Type, 'integer'> {
  if (value === null) return 'null';
  if (numberOf(value) !== null) return 'number';
  if (Array.isArray(value)) return 'array';
  return typeof value as 'object' | 'string' | 'number' | 'boolean';
}

export function equal(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value instanceof NumberText && Number.isSafeInteger(Number(value.text))) return String(Number(value.text));
  if (!isJsonObject(value)) return writeExact(value);
  const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`);
  return `{${members.sort().join()}}`;
}
