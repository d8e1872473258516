/**
 * A schema as a choice of conjunctions: `$ref` and `allOf` add to what is asked, `anyOf` and `oneOf` leave a choice. In what
 * comes out those four have been followed and mean nothing more.
 */
import { ConstraintTooLarge } from '../automaton/limits.ts';
import { refuseUnsupported } from './keywords.ts';
import { type Located, schemasAt } from './located.ts';
import { mayMeet } from './may-meet.ts';
import type { References } from './references.ts';
import { UnsupportedSchema } from './unsupported-schema.ts';

/** All of these hold. */
export type Conjunction = readonly Located[];

const maxChoices = 512;

/** Empty: nothing can satisfy the schemas. Throws UnsupportedSchema, ConstraintTooLarge. */
export function disjuncts(schemas: Conjunction, references: References): readonly Conjunction[] {
  const done: Conjunction[] = [];
  const open: { readonly todo: readonly Located[]; readonly kept: Conjunction }[] = [{ todo: schemas, kept: [] }];
  while (open.length > 0) {
    const { todo, kept } = open.pop()!;
    const [first, ...rest] = todo;
    if (first === undefined) {
      done.push(kept);
      continue;
    }
    if (first.schema === false) continue;
    if (first.schema === true || kept.some(({ path }) => path === first.path)) {
      open.push({ todo: rest, kept });
      continue;
    }
    refuseUnsupported(first);
    const next = [...rest, ...schemasAt(first, 'allOf')];
    const reference = references.of(first);
    if (reference !== null) next.push(reference);
    for (const chosen of choices(first, references)) open.push({ todo: [...next, ...chosen], kept: [...kept, first] });
    if (open.length + done.length > maxChoices) {
      throw new ConstraintTooLarge(
        `its anyOf and oneOf leave more than ${maxChoices} choices at ${first.path || 'the top'}`,
      );
    }
  }
  return done.reverse();
}

/** What the schema's own `anyOf` and `oneOf` leave to choose from: one of each. */
function choices(from: Located, references: References): readonly (readonly Located[])[] {
  const any = schemasAt(from, 'anyOf');
  const one = schemasAt(from, 'oneOf');
  one.forEach((a, i) => {
    for (const b of one.slice(i + 1)) {
      if (!mayMeet(a, b, references)) continue;
      const problem = `is supported where no value can match two of its schemas; ${a.path} and ${b.path} may both match: anyOf is`;
      throw new UnsupportedSchema(`${from.path}.oneOf`, problem);
    }
  });
  const first = any.length > 0 ? any.map((schema) => [schema]) : [[]];
  return one.length > 0 ? first.flatMap((chosen) => one.map((schema) => [...chosen, schema])) : first;
}
