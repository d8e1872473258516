/** Which keywords of JSON Schema are enforced, which say nothing about values, and which are refused. */
import { type JsonObject, keyword, type Located } from './located.ts';
import { UnsupportedSchema } from './unsupported-schema.ts';

const refused: Readonly<Record<string, string>> = {
  if: 'is not supported',
  not: 'is not supported',
  contains: 'is not supported',
  dependentRequired: 'is not supported',
  dependentSchemas: 'is not supported',
  dependencies: 'is not supported',
  unevaluatedItems: 'is not supported',
  unevaluatedProperties: 'is not supported: additionalProperties is',
  additionalItems: 'is not supported: prefixItems and items are',
  $dynamicRef: 'is not supported: $ref is',
  $recursiveRef: 'is not supported: $ref is',
  extends: 'is not supported',
  disallow: 'is not supported',
};

/** Cases in which a refused keyword asks for nothing. */
function harmless(key: string, schema: JsonObject): boolean {
  const value = keyword(schema, key);
  switch (key) {
    case 'if':
      return keyword(schema, 'then') === undefined && keyword(schema, 'else') === undefined;
    case 'not':
      return value === false;
    case 'contains':
      return keyword(schema, 'minContains') === 0 && keyword(schema, 'maxContains') === undefined;
    case 'unevaluatedProperties':
    case 'unevaluatedItems':
      return value === true || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
    case 'additionalItems':
      return !Array.isArray(keyword(schema, 'items'));
    case 'dependentRequired':
    case 'dependentSchemas':
    case 'dependencies':
      return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
    default:
      return false;
  }
}

/** Throws UnsupportedSchema for a keyword that is there and cannot be enforced. */
export function refuseUnsupported({ schema, path }: Located): void {
  if (typeof schema === 'boolean') return;
  for (const [key, why] of Object.entries(refused)) {
    if (keyword(schema, key) !== undefined && !harmless(key, schema))
      throw new UnsupportedSchema(`${path}.${key}`, why);
  }
  const items = keyword(schema, 'items');
  if (Array.isArray(items)) throw new UnsupportedSchema(`${path}.items`, 'an array is not supported: prefixItems is');
  if (keyword(schema, 'uniqueItems') === true && !((keyword(schema, 'maxItems') as number) <= 1)) {
    throw new UnsupportedSchema(`${path}.uniqueItems`, 'is not supported');
  }
  if (path !== '' && typeof keyword(schema, '$id') === 'string') {
    throw new UnsupportedSchema(`${path}.$id`, 'is supported for the whole schema only');
  }
}
