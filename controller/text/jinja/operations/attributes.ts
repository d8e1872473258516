/** `value.name`, as Python's sandbox lets templates see it: nothing that begins with "_", and nothing that changes a value. */

import { Dict, isHashable, Tuple, View } from '../values/containers.ts';
import { equals } from '../values/equality.ts';
import { iterate } from '../values/protocols.ts';
import { repr } from '../values/repr.ts';
import { typeError, valueError } from '../values/template-error.ts';
import { Undefined } from '../values/undefined.ts';
import { Callable, isList, PythonObject, typeName, type Value } from '../values/value.ts';
import { itemOf } from './subscript.ts';
import { formatText } from './text-format.ts';
import { textMethod } from './text-methods.ts';

/** `value.name`: the attribute, else the item of that name, else undefined. */
export function getAttribute(value: Value, name: string): Value {
  if (value instanceof Undefined) return name === '__class__' ? unsafe(value, name) : value.fail();
  return attributeOf(value, name) ?? itemOf(value, name) ?? Undefined.member(value, name);
}

/** `value[key]`: the item, else the attribute of that name, else undefined. */
export function getItem(value: Value, key: Value): Value {
  if (value instanceof Undefined) return value.fail();
  const item = itemOf(value, key);
  if (item !== undefined) return item;
  if (typeof key === 'string') return attributeOf(value, key) ?? Undefined.member(value, key);
  return Undefined.member(value, repr(key), false);
}

/** Undefined for none. */
export function attributeOf(value: Value, name: string): Value | undefined {
  if (changing(value).includes(name)) return unsafe(value, name);
  if (typeof value === 'string') {
    if (name !== 'format') return textMethod(value, name);
    return new Callable(name, (positional, named) => formatText(value, positional, named, attributeOf));
  }
  if (value instanceof Dict) return dictMethod(value, name);
  if (isList(value) || value instanceof Tuple) {
    return (
      listMethod(isList(value) ? value : value.items, value, name) ??
      (isList(value) ? undefined : value.attribute(name))
    );
  }
  if (typeof value === 'bigint' || typeof value === 'number') return numberAttribute(value, name);
  return value instanceof PythonObject ? value.attribute(name) : undefined;
}

/** Names of methods that would change a value. */
function changing(value: Value): readonly string[] {
  if (isList(value)) return ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove'];
  return value instanceof Dict ? ['clear', 'pop', 'popitem', 'setdefault', 'update'] : [];
}

function unsafe(value: Value, name: string): Undefined {
  return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`, 'SecurityError');
}

function dictMethod(dict: Dict, name: string): Callable | undefined {
  switch (name) {
    case 'get':
      return new Callable(name, ([key, otherwise = null]) => {
        if (key === undefined) throw typeError('get expected at least 1 argument, got 0');
        if (!isHashable(key)) throw typeError(`unhashable type: '${typeName(key)}'`);
        return dict.get(key) ?? otherwise;
      });
    case 'items':
      return new Callable(
        name,
        () =>
          new View(
            name,
            [...dict.entries()].map((entry) => new Tuple(entry)),
          ),
      );
    case 'keys':
      return new Callable(name, () => new View(name, dict.keys()));
    case 'values':
      return new Callable(name, () => new View(name, dict.values()));
    case 'copy':
      return new Callable(name, () => new Dict(dict.entries()));
    case 'fromkeys':
      return new Callable(
        name,
        ([keys = null, value = null]) => new Dict([...iterate(keys)].map((key) => [key, value])),
      );
    default:
      return undefined;
  }
}

function listMethod(items: readonly Value[], value: Value, name: string): Callable | undefined {
  switch (name) {
    case 'count':
      return new Callable(name, ([wanted = null]) => BigInt(items.filter((item) => equals(item, wanted)).length));
    case 'index':
      return new Callable(name, ([wanted = null, start = 0n]) => {
        const at = items.findIndex((item, index) => index >= Number(start) && equals(item, wanted));
        if (at < 0) throw valueError(`${repr(wanted)} is not in ${typeName(value)}`);
        return BigInt(at);
      });
    case 'copy':
      return isList(value) ? new Callable(name, () => [...items]) : undefined;
    default:
      return undefined;
  }
}

function numberAttribute(value: bigint | number, name: string): Value | undefined {
  switch (name) {
    case 'real':
      return value;
    case 'imag':
      return typeof value === 'bigint' ? 0n : 0;
    case 'is_integer':
      return typeof value === 'number' ? new Callable(name, () => Number.isInteger(value)) : undefined;
    case 'bit_length':
      return typeof value === 'bigint'
        ? new Callable(name, () => BigInt(value === 0n ? 0 : (value < 0n ? -value : value).toString(2).length))
        : undefined;
    default:
      return undefined;
  }
}
