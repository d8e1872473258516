import { attributeOf } from '../operations/attributes.ts';
import { str } from '../values/repr.ts';
import { JinjaError } from '../values/template-error.ts';
import { refuseUndefined, Undefined } from '../values/undefined.ts';
import type { Filter, Library } from './filter.ts';
import { numberFilters } from './number-filters.ts';
import { sequenceFilters } from './sequence-filters.ts';
import { tests } from './tests.ts';
import { textFilters } from './text-filters.ts';

const filters: Readonly<Record<string, Filter>> = {
  ...textFilters,
  ...numberFilters,
  ...sequenceFilters,
  attr: (value, [name = null]) => {
    refuseUndefined(value);
    return attributeOf(value, str(name)) ?? Undefined.member(value, str(name));
  },
};

function lookUp(table: Readonly<Record<string, Filter>>, kind: string): (name: string) => Filter {
  return (name) => {
    const found = Object.hasOwn(table, name) ? table[name] : undefined;
    if (found === undefined) throw new JinjaError(`No ${kind} named '${name}'.`, 'TemplateRuntimeError');
    return found;
  };
}

/** Every filter and test. */
export const library: Library = {
  filter: lookUp(filters, 'filter'),
  test: lookUp(tests, 'test'),
  hasFilter: (name) => Object.hasOwn(filters, name),
  hasTest: (name) => Object.hasOwn(tests, name),
};
