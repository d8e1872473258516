/** What `is` asks. */

import { binary } from '../operations/arithmetic.ts';
import { Dict, View } from '../values/containers.ts';
import { equals, isNumeric, order } from '../values/equality.ts';
import { contains, iteratorOf, lengthOf } from '../values/protocols.ts';
import { str } from '../values/repr.ts';
import { typeError } from '../values/template-error.ts';
import { refuseUndefined, Undefined } from '../values/undefined.ts';
import { Callable, isList, type Value } from '../values/value.ts';
import type { Filter } from './filter.ts';

type Test = (value: Value, other: Value) => boolean;

const one: Readonly<Record<string, (value: Value) => boolean>> = {
  boolean: (value) => typeof value === 'boolean',
  callable: (value) => value instanceof Callable || value instanceof Undefined,
  defined: (value) => !(value instanceof Undefined),
  escaped: () => false,
  even: (value) => equals(binary('%', value, 2n), 0n),
  false: (value) => value === false,
  float: (value) => typeof value === 'number',
  integer: (value) => typeof value === 'bigint',
  iterable: (value) => iteratorOf(value) !== null,
  lower: (value) => isCased(str(value), str(value).toLowerCase()),
  mapping: (value) => value instanceof Dict,
  none: (value) => value === null,
  number: (value) => isNumeric(value),
  odd: (value) => equals(binary('%', value, 2n), 1n),
  sequence: (value) =>
    lengthOf(value) !== null && (typeof value === 'string' || isList(value) || !(value instanceof View)),
  string: (value) => typeof value === 'string',
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: (value) => isCased(str(value), str(value).toUpperCase()),
};

const two: Readonly<Record<string, Test>> = {
  divisibleby: (value, other) => equals(binary('%', value, other), 0n),
  in: (value, other) => contains(other, value),
  sameas: (value, other) => value === other,
  ...named(['eq', '==', 'equalto'], equals),
  ...named(['ne', '!='], (a, b) => !equals(a, b)),
  ...named(['lt', '<', 'lessthan'], (a, b) => compare(a, b, '<') < 0),
  ...named(['le', '<='], (a, b) => compare(a, b, '<=') <= 0),
  ...named(['gt', '>', 'greaterthan'], (a, b) => compare(a, b, '>') > 0),
  ...named(['ge', '>='], (a, b) => compare(a, b, '>=') >= 0),
};

export const tests: Readonly<Record<string, Filter>> = {
  ...Object.fromEntries(Object.entries(one).map(([name, test]) => [name, (value: Value) => test(value)])),
  ...Object.fromEntries(
    Object.entries(two).map(([name, test]): [string, Filter] => [
      name,
      (value, [other]) => {
        if (other === undefined) throw typeError(`${name} expects something to compare with`);
        return test(value, other);
      },
    ]),
  ),
  filter: (value, _positional, _named, library) => typeof value === 'string' && library.hasFilter(value),
  test: (value, _positional, _named, library) => typeof value === 'string' && library.hasTest(value),
};

function named(names: readonly string[], test: Test): Record<string, Test> {
  return Object.fromEntries(names.map((name) => [name, test]));
}

export function compare(a: Value, b: Value, operator: string): number {
  refuseUndefined(a, b);
  return order(a, b, operator);
}

function isCased(text: string, same: string): boolean {
  return text === same && text.toLowerCase() !== text.toUpperCase();
}
