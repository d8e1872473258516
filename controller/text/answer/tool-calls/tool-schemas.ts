/** What a request's tools say of their parameters. */
import { isObject } from '../../../model/config/json.ts';

export class ToolSchemas {
  readonly #parameters = new Map<string, Readonly<Record<string, unknown>>>();

  /** `tools` as clients send them: `{"type": "function", "function": {"name", "parameters"}}`. */
  constructor(tools: readonly unknown[]) {
    for (const tool of tools) {
      const called = isObject(tool) ? (tool['function'] ?? tool) : null;
      if (!isObject(called) || typeof called['name'] !== 'string') continue;
      const parameters = called['parameters'];
      this.#parameters.set(called['name'], isObject(parameters) ? parameters : {});
    }
  }

  has(tool: string): boolean {
    return this.#parameters.has(tool);
  }

  /**
   * The types that a parameter may have, "any" where its schema names none; null where the tool or the parameter is not
   * declared.
   */
  typesOf(tool: string, parameter: string): ReadonlySet<string> | null {
    const root = this.#parameters.get(tool);
    const properties = root?.['properties'];
    if (root === undefined || !isObject(properties) || !Object.hasOwn(properties, parameter)) return null;
    const types = new Set<string>();
    collectTypes(properties[parameter], root, types, 0);
    return types.size === 0 ? new Set(['any']) : types;
  }
}

const maxDepth = 16;

function collectTypes(
  schema: unknown,
  root: Readonly<Record<string, unknown>>,
  types: Set<string>,
  depth: number,
): void {
  if (!isObject(schema) || depth > maxDepth) return;
  const { type } = schema;
  for (const name of Array.isArray(type) ? type : [type]) if (typeof name === 'string') types.add(name.toLowerCase());
  const values = Array.isArray(schema['enum']) ? schema['enum'] : 'const' in schema ? [schema['const']] : [];
  if (type === undefined) for (const value of values as unknown[]) types.add(jsonType(value));
  for (const key of ['anyOf', 'oneOf', 'allOf']) {
    const options = schema[key];
    if (Array.isArray(options)) for (const option of options) collectTypes(option, root, types, depth + 1);
  }
  const reference = schema['$ref'];
  if (typeof reference === 'string') collectTypes(resolve(reference, root), root, types, depth + 1);
  if (types.size === 0 && isObject(schema['properties'])) types.add('object');
  if (types.size === 0 && schema['items'] !== undefined) types.add('array');
}

function jsonType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'bigint' ? 'number' : typeof value;
}

/** What "#/$defs/Name" points to. */
function resolve(reference: string, root: unknown): unknown {
  let found = root;
  for (const step of reference.split('/').slice(1)) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    found = isObject(found) && Object.hasOwn(found, key) ? found[key] : undefined;
  }
  return reference.startsWith('#') ? found : undefined;
}
