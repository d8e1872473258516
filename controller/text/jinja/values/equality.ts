import { typeError } from './template-error.ts';
import { Undefined } from './undefined.ts';
import { isList, PythonObject, typeName, type Value } from './value.ts';

/** Whether two values are equal as Python's `==` says: 1, 1.0 and True are. */
export function equals(a: Value, b: Value): boolean {
  if (isNumeric(a) && isNumeric(b)) return numeric(a) == numeric(b); // oxlint-disable-line eqeqeq -- a bigint and a number
  if (isList(a) && isList(b)) return sameItems(a, b);
  return a instanceof PythonObject ? a.equalTo(b) : a === b;
}

export function sameItems(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, index) => equals(item, b[index] ?? null));
}

export function isNumeric(value: Value): value is boolean | bigint | number {
  return typeof value === 'boolean' || typeof value === 'bigint' || typeof value === 'number';
}

/** A number with True and False as 1 and 0. */
export function numeric(value: boolean | bigint | number): bigint | number {
  return typeof value === 'boolean' ? BigInt(value) : value;
}

/** Below 0, 0 or above, as Python orders two values. Throws for values that have no order. */
export function order(a: Value, b: Value, operator = '<'): number {
  if (isNumeric(a) && isNumeric(b)) {
    const [x, y] = [numeric(a), numeric(b)];
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : Number.NaN; // oxlint-disable-line eqeqeq -- a bigint and a number
  }
  if (typeof a === 'string' && typeof b === 'string') return orderStrings(a, b);
  const [left, right] = [itemsOf(a), itemsOf(b)];
  if (left !== null && right !== null && typeName(a) === typeName(b)) {
    for (const [index, item] of left.entries()) {
      if (index >= right.length) return 1;
      const other = right[index] ?? null;
      if (!equals(item, other)) return order(item, other, operator);
    }
    return left.length - right.length;
  }
  for (const value of [a, b]) if (value instanceof Undefined) value.fail();
  throw typeError(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** The items of a list or a tuple. */
function itemsOf(value: Value): readonly Value[] | null {
  if (isList(value)) return value;
  return value instanceof PythonObject && value.type === 'tuple'
    ? [...{ [Symbol.iterator]: () => value.iterate() ?? [].values() }]
    : null;
}

/** By code points: UTF-16 units would put those beyond 2^16 before U+E000. */
function orderStrings(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  if (at === length) return a.length - b.length;
  const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
  const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;
  return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1;
}

/** What stands for a value as a key: the same for equal values. Throws for what Python cannot hash. */
export function hashKey(value: Value): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return BigInt(value);
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (value instanceof PythonObject) return value.hashKey();
  throw typeError("unhashable type: 'list'");
}
