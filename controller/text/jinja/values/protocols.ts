/** What Python does with any value: whether it is true, how long it is, what is in it. */

import { textLength } from './code-points.ts';
import { equals } from './equality.ts';
import { typeError } from './template-error.ts';
import { Undefined } from './undefined.ts';
import { Callable, isList, type Named, PythonObject, typeName, type Value } from './value.ts';

export function truth(value: Value): boolean {
  if (value === null) return false;
  switch (typeof value) {
    case 'boolean':
      return value;
    case 'bigint':
      return value !== 0n;
    case 'number':
      return value !== 0;
    case 'string':
      return value !== '';
    default:
      return isList(value) ? value.length > 0 : value.truth();
  }
}

/** `len(value)`. Throws for what has no length. */
export function length(value: Value): number {
  const found = lengthOf(value);
  if (found === null) throw typeError(`object of type '${typeName(value)}' has no len()`);
  return found;
}

/** Null for what has no length. */
export function lengthOf(value: Value): number | null {
  if (typeof value === 'string') return textLength(value);
  if (isList(value)) return value.length;
  return value instanceof PythonObject ? value.length() : null;
}

/** Null for what cannot be iterated. */
export function iteratorOf(value: Value): Iterator<Value> | null {
  if (typeof value === 'string') return value[Symbol.iterator]();
  if (isList(value)) return value[Symbol.iterator]();
  return value instanceof PythonObject ? value.iterate() : null;
}

/** The items of a value. Throws for what cannot be iterated. */
export function iterate(value: Value): Iterable<Value> {
  const iterator = iteratorOf(value);
  if (iterator === null) throw typeError(`'${typeName(value)}' object is not iterable`);
  return { [Symbol.iterator]: () => iterator };
}

/** `value in container`. */
export function contains(container: Value, value: Value): boolean {
  if (typeof container === 'string') {
    if (typeof value === 'string') return container.includes(value);
    throw typeError(`'in <string>' requires string as left operand, not ${typeName(value)}`);
  }
  const known = container instanceof PythonObject ? container.contains(value) : null;
  if (known !== null) return known;
  const iterator = iteratorOf(container);
  if (iterator === null) throw typeError(`argument of type '${typeName(container)}' is not iterable`);
  for (const item of { [Symbol.iterator]: () => iterator }) if (equals(item, value)) return true;
  return false;
}

export function call(value: Value, positional: readonly Value[], named: Named): Value {
  if (value instanceof Callable) return value.call(positional, named);
  if (value instanceof Undefined) return value.fail();
  throw typeError(`'${typeName(value)}' object is not callable`);
}
