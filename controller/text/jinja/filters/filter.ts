import { getItem } from '../operations/attributes.ts';
import { typeError } from '../values/template-error.ts';
import { Undefined } from '../values/undefined.ts';
import { type Named, typeName, type Value } from '../values/value.ts';

/** A filter, or a test, as templates call it. */
export type Filter = (value: Value, positional: readonly Value[], named: Named, library: Library) => Value;

/** What filters find other filters and tests by. */
export interface Library {
  readonly filter: (name: string) => Filter;
  readonly test: (name: string) => Filter;
  readonly hasFilter: (name: string) => boolean;
  readonly hasTest: (name: string) => boolean;
}

/** Arguments in the order of their names. Throws for one too many and for a name that is none of these. */
export function bind(
  names: readonly string[],
  positional: readonly Value[],
  named: Named,
): readonly (Value | undefined)[] {
  if (positional.length > names.length) {
    throw typeError(`expected at most ${names.length + 1} arguments, got ${positional.length + 1}`);
  }
  for (const name of named.keys()) {
    if (!names.includes(name)) throw typeError(`got an unexpected keyword argument '${name}'`);
    if (names.indexOf(name) < positional.length) throw typeError(`got multiple values for argument '${name}'`);
  }
  return names.map((name, index) => (index < positional.length ? positional[index] : named.get(name)));
}

/** The attribute of an item that a filter is given: "name", "inner.0" or a number. */
export function attributeGetter(attribute: Value | undefined, otherwise?: Value) {
  const parts: readonly Value[] =
    attribute === undefined || attribute === null
      ? []
      : typeof attribute === 'string'
        ? attribute.split('.').map((part) => (/^\d+$/.test(part) ? BigInt(part) : part))
        : [attribute];
  return (item: Value): Value =>
    parts.reduce<Value>((value, part) => {
      const found = getItem(value, part);
      return found instanceof Undefined && otherwise !== undefined && otherwise !== null ? otherwise : found;
    }, item);
}

/** What text is compared by where case does not count. */
export function ignoringCase(value: Value): Value {
  return typeof value === 'string' ? value.toLowerCase() : value;
}

export function wholeNumber(value: Value | undefined, otherwise: number): number {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  throw typeError(`'${typeName(value)}' object cannot be interpreted as an integer`);
}
