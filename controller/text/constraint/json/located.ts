/** A schema and where it stands in its document. */
import { NumberText } from '../../../number-text.ts';
import { numberOf } from './read-schema.ts';
import { UnsupportedSchema } from './unsupported-schema.ts';

export type JsonObject = { readonly [key: string]: unknown };

export interface Located {
  readonly schema: boolean | JsonObject;
  readonly path: string;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberText);
}

/** A schema at a keyword or an element of one. Throws UnsupportedSchema unless it is one. */
export function located(value: unknown, path: string): Located {
  if (typeof value === 'boolean' || isJsonObject(value)) return { schema: value, path };
  throw new UnsupportedSchema(path, 'expected a schema: an object, true or false');
}

export function schemaAt({ schema, path }: Located, key: string): Located | null {
  const value = keyword(schema, key);
  return value === undefined ? null : located(value, `${path}.${key}`);
}

/** The schemas of a keyword that has a list of them; empty where it is absent. */
export function schemasAt({ schema, path }: Located, key: string): readonly Located[] {
  const value = keyword(schema, key);
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new UnsupportedSchema(`${path}.${key}`, 'expected an array of schemas');
  return value.map((item, i) => located(item, `${path}.${key}[${i}]`));
}

/** The schemas of a keyword that has an object of them. */
export function namedSchemasAt({ schema, path }: Located, key: string): ReadonlyMap<string, Located> {
  const value = keyword(schema, key);
  if (value === undefined) return new Map();
  if (!isJsonObject(value)) throw new UnsupportedSchema(`${path}.${key}`, 'expected an object of schemas');
  return new Map(Object.entries(value).map(([name, item]) => [name, located(item, `${path}.${key}.${name}`)]));
}

export function keyword(schema: boolean | JsonObject, key: string): unknown {
  return typeof schema === 'boolean' || !Object.hasOwn(schema, key) ? undefined : schema[key];
}

/** A count: a whole number of 0 or more; null where the keyword is absent. */
export function countAt({ schema, path }: Located, key: string): number | null {
  const value = keyword(schema, key);
  if (value === undefined) return null;
  const count = numberOf(value);
  if (count !== null && Number.isSafeInteger(count) && count >= 0) return count;
  throw new UnsupportedSchema(`${path}.${key}`, 'expected a whole number of 0 or more');
}

export function numberAt({ schema, path }: Located, key: string): number | null {
  const value = keyword(schema, key);
  if (value === undefined) return null;
  const number = numberOf(value);
  if (number !== null && Number.isFinite(number)) return number;
  throw new UnsupportedSchema(`${path}.${key}`, 'expected a number');
}

export function textAt({ schema, path }: Located, key: string): string | null {
  const value = keyword(schema, key);
  if (value === undefined) return null;
  if (typeof value === 'string') return value;
  throw new UnsupportedSchema(`${path}.${key}`, 'expected a string');
}
