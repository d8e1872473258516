/**
 * What a conjunction asks of objects. Properties come in the order in which the schema lists them; others follow them. Where
 * `properties` are listed and nothing is said of others, none come.
 */

import { everyCharacter } from '../automaton/code-points.ts';
import { accepts, type Dfa, intersect, negate } from '../automaton/dfa.ts';
import { call, type Expression, type GraphNode, never, sequence, text } from '../automaton/expression.ts';
import { ConstraintTooLarge } from '../automaton/limits.ts';
import type { Conjunction } from './disjuncts.ts';
import { countAt, keyword, type Located, namedSchemasAt, schemaAt } from './located.ts';
import { patternAt, stringAutomaton } from './strings.ts';
import { textsAutomaton } from './texts-automaton.ts';
import { UnsupportedSchema } from './unsupported-schema.ts';
import { stringOf } from './writing/strings.ts';
import { close, colon, comma, open } from './writing/whitespace.ts';

/** What objects need of schemas elsewhere. */
export interface ObjectContext {
  /** Null where nothing satisfies the schemas. */
  readonly value: (schemas: Conjunction) => Expression | null;
  readonly disjuncts: (schemas: Conjunction) => readonly Conjunction[];
}

interface Member {
  readonly expression: Expression;
  readonly required: boolean;
}

const maxPatterns = 4;
const mostWrittenOut = 32;

export function requiredAt({ schema, path }: Located): readonly string[] {
  const value = keyword(schema, 'required');
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value;
  throw new UnsupportedSchema(`${path}.required`, 'expected an array of strings');
}

export function objectExpression(schemas: Conjunction, context: ObjectContext): Expression {
  const required = new Set(schemas.flatMap(requiredAt));
  const names = new Set([
    ...schemas.flatMap((schema) => [...namedSchemasAt(schema, 'properties').keys()]),
    ...required,
  ]);
  const keys = nameAutomaton(schemas, context);
  const members: Member[] = [];
  // As rules of their own many members are tried side by side; written out, each pair of them would be.
  const asRule = names.size > mostWrittenOut;
  for (const name of names) {
    const allowed = keys === null || accepts(keys, name);
    const value = allowed ? context.value(schemas.flatMap((schema) => valueSchemas(schema, name))) : null;
    if (value === null && required.has(name)) return never;
    if (value === null) continue;
    const expression = sequence(text(JSON.stringify(name)), colon, value);
    members.push({ expression: asRule ? call({ name, expression }) : expression, required: required.has(name) });
  }
  const others = otherMembers(schemas, names, keys, context);
  return sequence(text('{'), open, { kind: 'graph', nodes: graph(schemas, members, others) }, close, text('}'));
}

/** What a schema asks of the value under a name. */
function valueSchemas(schema: Located, name: string): readonly Located[] {
  const own = namedSchemasAt(schema, 'properties').get(name);
  const matching = [...patternsAt(schema)].filter(({ dfa }) => accepts(dfa, name)).map(({ value }) => value);
  const found = [...(own === undefined ? [] : [own]), ...matching];
  const additional = schemaAt(schema, 'additionalProperties');
  return found.length > 0 || additional === null ? found : [additional];
}

interface NamePattern {
  readonly dfa: Dfa;
  readonly value: Located;
}

function patternsAt(schema: Located): readonly NamePattern[] {
  return [...namedSchemasAt(schema, 'patternProperties')].map(([pattern, value]) => ({
    dfa: patternAt(schema, `.patternProperties.${pattern}`, pattern, true),
    value,
  }));
}

/** What `propertyNames` allow; null: all. */
function nameAutomaton(schemas: Conjunction, { disjuncts }: ObjectContext): Dfa | null {
  const automata = schemas.flatMap((schema) => {
    const names = schemaAt(schema, 'propertyNames');
    if (names === null) return [];
    const choices = disjuncts([names]);
    if (choices.length === 0) return [textsAutomaton([])];
    if (choices.length > 1) throw new UnsupportedSchema(names.path, 'anyOf and oneOf are not supported here');
    const texts = choices[0]!.flatMap(namesOf);
    const dfa = stringAutomaton(choices[0]!);
    return [...texts, ...(dfa === null ? [] : [dfa])];
  });
  return automata.length === 0 ? null : intersect(automata);
}

function namesOf({ schema }: Located): readonly Dfa[] {
  const values =
    keyword(schema, 'enum') ?? (keyword(schema, 'const') === undefined ? undefined : [keyword(schema, 'const')]);
  return values === undefined
    ? []
    : [textsAutomaton((values as readonly unknown[]).filter((value) => typeof value === 'string'))];
}

/** Members under names that are not listed: one expression for each set of patterns that a name may match. */
function otherMembers(
  schemas: Conjunction,
  names: ReadonlySet<string>,
  keys: Dfa | null,
  context: ObjectContext,
): readonly Expression[] {
  const patterns = schemas.flatMap((schema) => patternsAt(schema).map((pattern) => ({ ...pattern, schema })));
  if (patterns.length > maxPatterns) throw new ConstraintTooLarge(`it has more than ${maxPatterns} patternProperties`);
  const listed = schemas.some((schema) => namedSchemasAt(schema, 'properties').size > 0);
  const said = schemas.some(
    (schema) =>
      schemaAt(schema, 'additionalProperties') !== null || namedSchemasAt(schema, 'patternProperties').size > 0,
  );
  if (listed && !said) return [];
  const unlisted = negate(textsAutomaton([...names]), everyCharacter);
  return Array.from({ length: 2 ** patterns.length }, (_, chosen) => {
    const matched = patterns.filter((_pattern, i) => (chosen >> i) % 2 === 1);
    const others = patterns.filter((pattern) => !matched.includes(pattern));
    const dfa = intersect([
      unlisted,
      ...(keys === null ? [] : [keys]),
      ...matched.map((pattern) => pattern.dfa),
      ...others.map((pattern) => negate(pattern.dfa, everyCharacter)),
    ]);
    const value = context.value(
      schemas.flatMap((schema) => {
        const own = matched.filter((pattern) => pattern.schema === schema).map((pattern) => pattern.value);
        const additional = schemaAt(schema, 'additionalProperties');
        return own.length > 0 || additional === null ? own : [additional];
      }),
    );
    return value === null ? null : sequence(stringOf(dfa), colon, value);
  }).filter((member) => member !== null);
}

/** Nodes say which member comes next, whether one has come, and how many where their number matters. */
function graph(schemas: Conjunction, members: readonly Member[], others: readonly Expression[]): readonly GraphNode[] {
  const least = Math.max(0, ...schemas.map((schema) => countAt(schema, 'minProperties') ?? 0));
  const limits = schemas.flatMap((schema) => countAt(schema, 'maxProperties') ?? []);
  const most = limits.length === 0 ? null : Math.min(...limits);
  const counted = most === null ? Math.max(least, 1) : Math.max(least, most + 1);
  const nodes: { final: boolean; edges: { take: Expression | null; to: number }[] }[] = [];
  const numbers = new Map<string, number>();
  const todo: { readonly at: number; readonly count: number }[] = [];
  const node = (at: number, count: number): number => {
    const key = `${at},${count}`;
    const known = numbers.get(key);
    if (known !== undefined) return known;
    if (nodes.length >= 100_000) throw new ConstraintTooLarge('its objects have too many properties');
    numbers.set(key, nodes.length);
    todo.push({ at, count });
    return nodes.push({ final: false, edges: [] }) - 1;
  };
  node(0, 0);
  for (let next = todo.shift(); next !== undefined; next = todo.shift()) {
    const { at, count } = next;
    const { edges } = nodes[node(at, count)]!;
    const room = most === null || count < most;
    const more = (expression: Expression): Expression => (count === 0 ? expression : sequence(comma, expression));
    const member = members[at];
    const after = Math.min(count + 1, counted);
    if (member === undefined) {
      nodes[node(at, count)]!.final = count >= least && (most === null || count <= most);
      if (room) for (const other of others) edges.push({ take: more(other), to: node(at, after) });
    } else {
      if (room) edges.push({ take: more(member.expression), to: node(at + 1, after) });
      if (!member.required) edges.push({ take: null, to: node(at + 1, count) });
    }
  }
  return nodes;
}
