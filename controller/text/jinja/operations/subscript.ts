/** `value[key]` and slices. */

import { codePoints, isBasic } from '../values/code-points.ts';
import { Range, Tuple } from '../values/containers.ts';
import { typeError, valueError } from '../values/template-error.ts';
import { isList, PythonObject, typeName, type Value } from '../values/value.ts';

/** Undefined for none. */
export function itemOf(value: Value, key: Value): Value | undefined {
  if (value instanceof PythonObject && !(value instanceof Tuple)) return value.item(key);
  if (typeof key !== 'bigint' && typeof key !== 'boolean') return undefined;
  const items = typeof value === 'string' ? characters(value) : isList(value) ? value : (value as Tuple | null)?.items;
  if (items === undefined) return undefined;
  const index = Number(key);
  return items[index < 0 ? index + items.length : index];
}

/** By index; a string without surrogates is its own list of characters. */
function characters(text: string): ArrayLike<string> & { readonly length: number } {
  return isBasic(text) ? text : codePoints(text);
}

export interface SliceBounds {
  readonly start: Value;
  readonly stop: Value;
  readonly step: Value;
}

/** `value[start:stop:step]`. Undefined for what has no slices. */
export function sliceOf(value: Value, bounds: SliceBounds): Value | undefined {
  if (typeof value === 'string') {
    const units = characters(value);
    return indexes(units.length, bounds)
      .map((index) => units[index] ?? '')
      .join('');
  }
  if (isList(value)) return indexes(value.length, bounds).map((index) => value[index] ?? null);
  if (value instanceof Tuple) {
    return new Tuple(indexes(value.items.length, bounds).map((index) => value.items[index] ?? null));
  }
  if (value instanceof Range) {
    const { from, to, by } = resolve(value.length(), bounds);
    return value.slice(from, to, by);
  }
  return undefined;
}

/** The positions that a slice picks, in its order. */
function indexes(length: number, bounds: SliceBounds): readonly number[] {
  const { from, to, by } = resolve(length, bounds);
  const count = Math.max(0, Math.ceil((to - from) / by));
  return Array.from({ length: count }, (_, turn) => from + turn * by);
}

/** A slice's bounds within a sequence of this length. */
function resolve(length: number, { start, stop, step }: SliceBounds) {
  const by = bound(step) ?? 1;
  if (by === 0) throw valueError('slice step cannot be zero');
  const [lowest, highest] = by > 0 ? [0, length] : [-1, length - 1];
  const place = (value: Value, otherwise: number): number => {
    const given = bound(value);
    if (given === null) return otherwise;
    const index = given < 0 ? given + length : given;
    return Math.min(Math.max(index, lowest), highest);
  };
  return { from: place(start, by > 0 ? lowest : highest), to: place(stop, by > 0 ? highest : lowest), by };
}

function bound(value: Value): number | null {
  if (value === null) return null;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  throw typeError(`slice indices must be integers or None or have an __index__ method, not ${typeName(value)}`);
}
