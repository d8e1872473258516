/** Whether a value could satisfy two schemas: where that cannot be excluded, the answer is yes. */
import { type Located, namedSchemasAt } from './located.ts';
import { requiredAt } from './objects.ts';
import type { References } from './references.ts';
import { equal, type Type, typeOf, typesAt, valuesAt } from './types.ts';

export function mayMeet(a: Located, b: Located, references: References): boolean {
  const [first, second] = [target(a, references), target(b, references)];
  const [values, others] = [valuesAt(first), valuesAt(second)];
  if (values !== null && others !== null) return values.some((value) => others.some((other) => equal(value, other)));
  const [types, otherTypes] = [allowedTypes(first), allowedTypes(second)];
  if (types !== null && otherTypes !== null && ![...types].some((type) => otherTypes.has(type))) return false;
  const onlyObjects = [types, otherTypes].some((set) => set?.size === 1 && set.has('object'));
  return !onlyObjects || !differ(first, second, references);
}

/** Whether objects of both would need a property to have two values at once. */
function differ(a: Located, b: Located, references: References): boolean {
  const required = requiredAt(a).filter((name) => requiredAt(b).includes(name));
  return required.some((name) => {
    const [one, other] = [namedSchemasAt(a, 'properties').get(name), namedSchemasAt(b, 'properties').get(name)];
    return one !== undefined && other !== undefined && !mayMeet(one, other, references);
  });
}

/** Follows references, as far as they lead somewhere new. */
function target(from: Located, references: References): Located {
  const seen = new Set<string>();
  let at = from;
  for (let next = references.of(at); next !== null && !seen.has(next.path); next = references.of(at)) {
    seen.add(next.path);
    at = next;
  }
  return at;
}

/** With "number" for "integer"; null: all. */
function allowedTypes(schema: Located): ReadonlySet<Type> | null {
  const values = valuesAt(schema);
  if (values !== null) return new Set(values.map(typeOf));
  const types = typesAt(schema);
  return types && new Set([...types].map((type) => (type === 'integer' ? 'number' : type)));
}
