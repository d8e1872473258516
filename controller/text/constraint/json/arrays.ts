/** What a conjunction asks of arrays. Where `prefixItems` are listed and nothing is said of others, none come. */
import { type Expression, type GraphNode, never, sequence, text } from '../automaton/expression.ts';
import type { Conjunction } from './disjuncts.ts';
import { countAt, type Located, schemaAt, schemasAt } from './located.ts';
import { UnsupportedSchema } from './unsupported-schema.ts';
import { close, comma, open } from './writing/whitespace.ts';

const mostCounted = 10_000;

/** `value`: null where nothing satisfies the schemas. */
export function arrayExpression(schemas: Conjunction, value: (schemas: Conjunction) => Expression | null): Expression {
  const least = Math.max(0, ...schemas.map((schema) => count(schema, 'minItems') ?? 0));
  const limits = schemas.flatMap((schema) => count(schema, 'maxItems') ?? []);
  const prefix = Math.max(0, ...schemas.map((schema) => schemasAt(schema, 'prefixItems').length));
  const closed = prefix > 0 && schemas.every((schema) => schemaAt(schema, 'items') === null);
  const most = Math.min(...limits, closed ? Math.max(prefix, least) : Number.POSITIVE_INFINITY);
  if (least > most) return never;
  const counted = Math.max(least, prefix, most === Number.POSITIVE_INFINITY ? 0 : most);
  const item = (i: number): Expression | null => value(schemas.flatMap((schema) => itemSchemas(schema, i)));
  const nodes: GraphNode[] = [];
  const rest = item(prefix);
  for (let i = 0; i <= Math.max(counted, 1); i++) {
    const expression = i >= most ? null : i < prefix ? item(i) : rest;
    const to = most === Number.POSITIVE_INFINITY && i === Math.max(counted, 1) ? i : i + 1;
    const take = expression && (i === 0 ? expression : sequence(comma, expression));
    nodes.push({ final: i >= least, edges: take === null || to > Math.max(counted, 1) ? [] : [{ take, to }] });
  }
  return sequence(text('['), open, { kind: 'graph', nodes }, close, text(']'));
}

function itemSchemas(schema: Located, i: number): readonly Located[] {
  const own = schemasAt(schema, 'prefixItems')[i] ?? schemaAt(schema, 'items');
  return own === null ? [] : [own];
}

function count(schema: Located, key: string): number | null {
  const value = countAt(schema, key);
  if (value === null || value <= mostCounted) return value;
  throw new UnsupportedSchema(`${schema.path}.${key}`, `is supported up to ${mostCounted}, got ${value}`);
}
