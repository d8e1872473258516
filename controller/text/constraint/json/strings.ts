/** What a conjunction asks of strings. */
import { everyCharacter } from '../automaton/code-points.ts';
import { type Dfa, intersect } from '../automaton/dfa.ts';
import { call, type Expression } from '../automaton/expression.ts';
import { ConstraintTooLarge } from '../automaton/limits.ts';
import { compilePattern } from '../pattern/compile-pattern.ts';
import { formats } from '../pattern/formats.ts';
import { UnsupportedPattern } from '../pattern/unsupported-pattern.ts';
import type { Conjunction } from './disjuncts.ts';
import { countAt, type Located, textAt } from './located.ts';
import { UnsupportedSchema } from './unsupported-schema.ts';
import { anyString, stringOf, stringOfLength } from './writing/strings.ts';

export function stringExpression(schemas: Conjunction): Expression {
  const automata = patterns(schemas);
  const { least, most } = lengths(schemas);
  if (automata.length > 0) return stringOf(intersect([...automata, ...lengthAutomata(least, most)]));
  return least === 0 && most === null ? call(anyString) : stringOfLength(least, most);
}

/** The texts that a conjunction allows as strings; null: all. */
export function stringAutomaton(schemas: Conjunction): Dfa | null {
  const { least, most } = lengths(schemas);
  const automata = [...patterns(schemas), ...lengthAutomata(least, most)];
  return automata.length === 0 ? null : intersect(automata);
}

function lengths(schemas: Conjunction): { readonly least: number; readonly most: number | null } {
  const most = schemas.flatMap((schema) => countAt(schema, 'maxLength') ?? []);
  return {
    least: Math.max(0, ...schemas.map((schema) => countAt(schema, 'minLength') ?? 0)),
    most: most.length === 0 ? null : Math.min(...most),
  };
}

function lengthAutomata(least: number, most: number | null): readonly Dfa[] {
  if (least === 0 && most === null) return [];
  const last = most ?? least;
  const states = Array.from({ length: last + 1 }, (_, count) => {
    const to = count < last ? count + 1 : most === null ? count : null;
    return { final: count >= least, edges: to === null ? [] : [{ set: everyCharacter, to }] };
  });
  return [states];
}

function patterns(schemas: Conjunction): readonly Dfa[] {
  return schemas.flatMap((schema) => {
    const pattern = textAt(schema, 'pattern');
    const format = textAt(schema, 'format');
    return [
      ...(pattern === null ? [] : [patternAt(schema, '.pattern', pattern, true)]),
      ...(format === null ? [] : [formatAt(schema, format)]),
    ];
  });
}

function formatAt(schema: Located, format: string): Dfa {
  const pattern = Object.hasOwn(formats, format) ? formats[format] : undefined;
  if (pattern !== undefined) return patternAt(schema, '.format', pattern, false);
  const known = Object.keys(formats).join(', ');
  throw new UnsupportedSchema(`${schema.path}.format`, `${JSON.stringify(format)} is not supported: ${known} are`);
}

/** Throws UnsupportedSchema at the keyword. */
export function patternAt({ path }: Located, key: string, source: string, search: boolean): Dfa {
  try {
    return compilePattern(source, { search });
  } catch (error) {
    if (!(error instanceof UnsupportedPattern || error instanceof ConstraintTooLarge)) throw error;
    throw new UnsupportedSchema(`${path}${key}`, error.message);
  }
}
