import { binary } from '../operations/arithmetic.ts';
import { Dict, Lazy, Range, Tuple, View } from '../values/containers.ts';
import { equals, hashKey, order } from '../values/equality.ts';
import { iterate, length, truth } from '../values/protocols.ts';
import { str } from '../values/repr.ts';
import { JinjaError, typeError } from '../values/template-error.ts';
import { Undefined } from '../values/undefined.ts';
import { isList, type Named, type Value } from '../values/value.ts';
import { attributeGetter, bind, type Filter, ignoringCase, type Library, wholeNumber } from './filter.ts';
import { reversedText } from './text-filters.ts';

export const sequenceFilters: Readonly<Record<string, Filter>> = {
  batch: (value, positional, named) => {
    const [size, fill = null] = bind(['linecount', 'fill_with'], positional, named);
    return new Lazy(batches(value, wholeNumber(size, 0), fill));
  },
  count: (value) => BigInt(length(value)),
  d: fallback,
  default: fallback,
  dictsort: (value, positional, named) => {
    const [sensitive = false, by = 'key', reverse = false] = bind(
      ['case_sensitive', 'by', 'reverse'],
      positional,
      named,
    );
    if (!(value instanceof Dict)) throw typeError('dictsort expects a mapping');
    const key = ([name, item]: readonly [Value, Value]): Value => {
      const sorted = by === 'key' ? name : item;
      return truth(sensitive) ? sorted : ignoringCase(sorted);
    };
    return sortedBy([...value.entries()], key, truth(reverse)).map((pair) => new Tuple(pair));
  },
  first: (value) => {
    const { value: item, done } = iterate(value)[Symbol.iterator]().next();
    return done === true ? new Undefined('No first item, sequence was empty.') : item;
  },
  groupby: (value, positional, named) => {
    const [attribute, otherwise, sensitive = false] = bind(
      ['attribute', 'default', 'case_sensitive'],
      positional,
      named,
    );
    const get = attributeGetter(attribute, otherwise);
    const key = (item: Value): Value => (truth(sensitive) ? get(item) : ignoringCase(get(item)));
    const groups: { readonly key: Value; readonly items: Value[] }[] = [];
    for (const item of sortedBy([...iterate(value)], key, false)) {
      const last = groups.at(-1);
      if (last !== undefined && equals(last.key, key(item))) last.items.push(item);
      else groups.push({ key: key(item), items: [item] });
    }
    return groups.map(({ items }) => new Tuple([get(items[0] ?? null), items], ['grouper', 'list']));
  },
  items: (value) => {
    if (value instanceof Undefined) return new Lazy([].values());
    if (!(value instanceof Dict)) throw typeError('Can only get item pairs from a mapping.');
    return new Lazy([...value.entries()].map((pair) => new Tuple(pair)).values());
  },
  last: (value) => {
    if (value instanceof Lazy) throw typeError(`'${value.type}' object is not reversible`);
    const items = [...iterate(value)];
    return items.length === 0 ? new Undefined('No last item, sequence was empty.') : (items.at(-1) ?? null);
  },
  length: (value) => BigInt(length(value)),
  list: (value) => [...iterate(value)],
  map: (value, positional, named, library) =>
    truth(value) ? new Lazy(mapped(value, positional, named, library)) : new Lazy([].values()),
  max: (value, positional, named) => extreme(value, positional, named, 1),
  min: (value, positional, named) => extreme(value, positional, named, -1),
  reject: (value, positional, named, library) =>
    picked(value, positional, named, library, { keep: false, byAttribute: false }),
  rejectattr: (value, positional, named, library) =>
    picked(value, positional, named, library, { keep: false, byAttribute: true }),
  reverse: (value) => {
    if (typeof value === 'string') return reversedText(value);
    const isReversible =
      isList(value) ||
      value instanceof Tuple ||
      value instanceof Dict ||
      value instanceof View ||
      value instanceof Range;
    const items = [...iterate(value)].reverse();
    return isReversible ? new Lazy(items.values(), 'list_reverseiterator') : items;
  },
  select: (value, positional, named, library) =>
    picked(value, positional, named, library, { keep: true, byAttribute: false }),
  selectattr: (value, positional, named, library) =>
    picked(value, positional, named, library, { keep: true, byAttribute: true }),
  slice: (value, positional, named) => {
    const [slices, fill = null] = bind(['slices', 'fill_with'], positional, named);
    return new Lazy(sliced([...iterate(value)], wholeNumber(slices, 1), fill));
  },
  sort: (value, positional, named) => {
    const [reverse = false, sensitive = false, attribute = null] = bind(
      ['reverse', 'case_sensitive', 'attribute'],
      positional,
      named,
    );
    const parts = typeof attribute === 'string' ? attribute.split(',') : [attribute];
    const getters = parts.map((part) => attributeGetter(part));
    const key = (item: Value): Value => getters.map((get) => (truth(sensitive) ? get(item) : ignoringCase(get(item))));
    return sortedBy([...iterate(value)], key, truth(reverse));
  },
  sum: (value, positional, named) => {
    const [attribute, start = 0n] = bind(['attribute', 'start'], positional, named);
    return [...iterate(value)].map(attributeGetter(attribute)).reduce((total, item) => binary('+', total, item), start);
  },
  unique: (value, positional, named) => {
    const [sensitive = false, attribute] = bind(['case_sensitive', 'attribute'], positional, named);
    const get = attributeGetter(attribute);
    return new Lazy(uniques(value, (item) => (truth(sensitive) ? get(item) : ignoringCase(get(item)))));
  },
};

function fallback(value: Value, positional: readonly Value[], named: Named): Value {
  const [otherwise = '', boolean = false] = bind(['default_value', 'boolean'], positional, named);
  return value instanceof Undefined || (truth(boolean) && !truth(value)) ? otherwise : value;
}

/** Stable, also where it is reversed. */
function sortedBy<T>(items: readonly T[], key: (item: T) => Value, reverse: boolean): T[] {
  const keyed = items.map((item) => [key(item), item] as const);
  return keyed.sort(([a], [b]) => (reverse ? order(b, a) : order(a, b))).map(([, item]) => item);
}

function extreme(value: Value, positional: readonly Value[], named: Named, sign: 1 | -1): Value {
  const [sensitive = false, attribute] = bind(['case_sensitive', 'attribute'], positional, named);
  const get = attributeGetter(attribute);
  const key = (item: Value): Value => (truth(sensitive) ? get(item) : ignoringCase(get(item)));
  const items = [...iterate(value)];
  const [first, ...others] = items;
  if (first === undefined) return new Undefined('No aggregated item, sequence was empty.');
  return others.reduce((best, item) => (sign * order(key(item), key(best)) > 0 ? item : best), first);
}

function* batches(value: Value, size: number, fill: Value): Generator<Value> {
  let batch: Value[] = [];
  for (const item of iterate(value)) {
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
    batch.push(item);
  }
  if (batch.length === 0) return;
  if (fill !== null) while (batch.length < size) batch.push(fill);
  yield batch;
}

function* sliced(items: readonly Value[], slices: number, fill: Value): Generator<Value> {
  const each = Math.floor(items.length / slices);
  const longer = items.length % slices;
  for (let at = 0, start = 0; at < slices; at++) {
    const end = start + each + (at < longer ? 1 : 0);
    const slice = items.slice(start, end);
    yield fill !== null && at >= longer ? [...slice, fill] : slice;
    start = end;
  }
}

function* uniques(value: Value, key: (item: Value) => Value): Generator<Value> {
  const seen = new Set<unknown>();
  for (const item of iterate(value)) {
    const hash = hashKey(key(item));
    if (seen.has(hash)) continue;
    seen.add(hash);
    yield item;
  }
}

function* mapped(value: Value, positional: readonly Value[], named: Named, library: Library): Generator<Value> {
  const apply = mapping(positional, named, library);
  for (const item of iterate(value)) yield apply(item);
}

function mapping(positional: readonly Value[], named: Named, library: Library): (item: Value) => Value {
  if (positional.length === 0 && named.has('attribute')) {
    const [attribute, otherwise] = bind(['attribute', 'default'], [], named);
    return attributeGetter(attribute, otherwise);
  }
  const [name, ...rest] = positional;
  if (typeof name !== 'string') throw new JinjaError('map requires a filter argument', 'TemplateRuntimeError');
  const filter = library.filter(name);
  return (item) => filter(item, rest, named, library);
}

interface Picking {
  readonly keep: boolean;
  /** Whether the first argument names what of an item is tested. */
  readonly byAttribute: boolean;
}

function picked(value: Value, positional: readonly Value[], named: Named, library: Library, how: Picking): Value {
  return new Lazy(pick(value, positional, named, library, how));
}

function* pick(
  value: Value,
  positional: readonly Value[],
  named: Named,
  library: Library,
  { keep, byAttribute }: Picking,
): Generator<Value> {
  if (!truth(value)) return;
  if (byAttribute && positional.length === 0) {
    throw new JinjaError('Missing parameter for attribute name', 'TemplateRuntimeError');
  }
  const get = byAttribute ? attributeGetter(positional[0]) : (item: Value): Value => item;
  const [name, ...rest] = byAttribute ? positional.slice(1) : positional;
  const test = name === undefined ? null : library.test(str(name));
  for (const item of iterate(value)) {
    const passes = truth(test === null ? get(item) : test(get(item), rest, named, library));
    if (passes === keep) yield item;
  }
}
