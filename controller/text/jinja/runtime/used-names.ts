import type { Body } from '../syntax/ast.ts';

/** The names that a body uses anywhere. */
export function usedNames(body: Body): ReadonlySet<string> {
  const names = new Set<string>();
  collect(body, names);
  return names;
}

function collect(part: unknown, names: Set<string>): void {
  if (typeof part !== 'object' || part === null) return;
  if (Array.isArray(part)) {
    for (const item of part as readonly unknown[]) collect(item, names);
    return;
  }
  const node = part as Readonly<Record<string, unknown>>;
  if (node['kind'] === 'name' && typeof node['name'] === 'string') names.add(node['name']);
  for (const value of Object.values(node)) collect(value, names);
}
