import { toJson } from '../operations/json.ts';
import { formatPercent } from '../operations/percent-format.ts';
import { capitalize, justify, replaceText, splitLines, stripText } from '../operations/text-methods.ts';
import { codePoints, sliceText, textLength } from '../values/code-points.ts';
import { Dict, Tuple } from '../values/containers.ts';
import { iterate, iteratorOf, length as sizeOf, truth } from '../values/protocols.ts';
import { str } from '../values/repr.ts';
import { typeError, valueError } from '../values/template-error.ts';
import { Undefined } from '../values/undefined.ts';
import { isList, type Value } from '../values/value.ts';
import { attributeGetter, bind, type Filter, wholeNumber } from './filter.ts';

export const textFilters: Readonly<Record<string, Filter>> = {
  capitalize: (value) => capitalize(str(value)),
  center: (value, positional, named) => {
    const [width = 80n] = bind(['width'], positional, named);
    return justify(str(value), width, ' ', 'both');
  },
  e: (value) => escapeHtml(str(value)),
  escape: (value) => escapeHtml(str(value)),
  forceescape: (value) => escapeHtml(str(value)),
  format: (value, positional, named) => {
    if (positional.length > 0 && named.size > 0)
      throw typeError("can't handle positional and keyword arguments at the same time");
    return formatPercent(str(value), named.size > 0 ? Dict.named(named) : new Tuple(positional));
  },
  indent: indent,
  join: (value, positional, named) => {
    const [between = '', attribute] = bind(['d', 'attribute'], positional, named);
    const get = attributeGetter(attribute);
    return [...iterate(value)].map((item) => str(get(item))).join(str(between));
  },
  lower: (value) => str(value).toLowerCase(),
  replace: (value, positional, named) => {
    const [old, by, count = null] = bind(['old', 'new', 'count'], positional, named);
    if (old === undefined || by === undefined) throw typeError('replace expects what to replace, and by what');
    return replaceText(str(value), str(old), str(by), count === null ? -1 : wholeNumber(count, -1));
  },
  safe: (value) => str(value),
  string: (value) => str(value),
  striptags: (value) =>
    str(value)
      .replaceAll(/<!--[^]*?-->|<[^>]*>/g, '')
      .split(/\s+/)
      .filter((word) => word !== '')
      .join(' '),
  title: (value) =>
    str(value)
      .split(/([-\s({[<]+)/)
      .filter((part) => part !== '')
      .map((part) => {
        const [first = '', ...rest] = codePoints(part);
        return first.toUpperCase() + rest.join('').toLowerCase();
      })
      .join(''),
  tojson: (value, positional, named) => {
    const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'];
    const [ascii = false, given = null, separators = null, sortKeys = false] = bind(names, positional, named);
    const depth =
      given === null ? null : typeof given === 'string' ? given : ' '.repeat(Math.max(0, wholeNumber(given, 0)));
    const pair = separators === null ? null : [...iterate(separators)].map(str);
    const [item = ', ', colon = ': '] = pair ?? [depth === null ? ', ' : ',', ': '];
    return toJson(value, { ascii: truth(ascii), indent: depth, separators: [item, colon], sortKeys: truth(sortKeys) });
  },
  trim: (value, positional, named) => {
    const [characters = null] = bind(['chars'], positional, named);
    return stripText(str(value), characters, true, true);
  },
  truncate: (value, positional, named) => {
    const [length = 255n, cut = false, end = '...', leeway] = bind(
      ['length', 'killwords', 'end', 'leeway'],
      positional,
      named,
    );
    if (typeof value !== 'string' && sizeOf(value) <= wholeNumber(length, 255) + wholeNumber(leeway, 5)) return value;
    if (typeof value !== 'string') throw typeError('truncate expects text');
    return truncate(value, wholeNumber(length, 255), truth(cut), str(end), wholeNumber(leeway, 5));
  },
  upper: (value) => str(value).toUpperCase(),
  urlencode: (value) => {
    if (typeof value === 'string' || iteratorOf(value) === null) return urlQuote(str(value), '/');
    const items = value instanceof Dict ? [...value.entries()] : [...iterate(value)].map(pairOf);
    return items.map((pair) => pair.map((part) => urlQuote(str(part), '').replaceAll('%20', '+')).join('=')).join('&');
  },
  wordcount: (value) => BigInt(str(value).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
  xmlattr: (value, positional, named) => {
    const [space = true] = bind(['autospace'], positional, named);
    if (!(value instanceof Dict)) throw typeError('xmlattr expects a mapping');
    const all = [...value.entries()]
      .filter(([, item]) => item !== null && !(item instanceof Undefined))
      .map(([key, item]) => `${escapeHtml(str(key))}="${escapeHtml(str(item))}"`)
      .join(' ');
    return truth(space) && all !== '' ? ` ${all}` : all;
  },
};

function escapeHtml(text: string): string {
  const named: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&#34;',
    "'": '&#39;',
  };
  return text.replaceAll(/[&<>"']/g, (character) => named[character] ?? character);
}

function pairOf(value: Value): readonly Value[] {
  const pair = [...iterate(value)];
  if (pair.length !== 2) throw valueError(`expected pairs, got ${pair.length} values`);
  return pair;
}

function urlQuote(text: string, safe: string): string {
  return encodeURIComponent(text)
    .replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', safe === '/' ? '/' : '%2F');
}

function indent(value: Value, positional: readonly Value[], named: ReadonlyMap<string, Value>): Value {
  const [width = 4n, first = false, blank = false] = bind(['width', 'first', 'blank'], positional, named);
  if (typeof value !== 'string') {
    if (value instanceof Undefined) value.fail();
    throw typeError(`indent expects text, got ${isList(value) ? 'a list' : str(value)}`);
  }
  const by = typeof width === 'string' ? width : ' '.repeat(Math.max(0, wholeNumber(width, 4)));
  const lines = splitLines(`${value}\n`);
  const text = lines.map((line, at) => (at > 0 && (line !== '' || truth(blank)) ? by + line : line)).join('\n');
  return truth(first) ? by + text : text;
}

function truncate(text: string, length: number, cut: boolean, end: string, leeway: number): string {
  const room = length - textLength(end);
  if (room < 0) throw valueError(`expected length >= ${textLength(end)}, got ${length}`);
  if (textLength(text) <= length + leeway) return text;
  const kept = sliceText(text, 0, room);
  if (cut) return kept + end;
  const space = kept.lastIndexOf(' ');
  return (space < 0 ? kept : kept.slice(0, space)) + end;
}

/** The characters of a text, the last one first. */
export function reversedText(text: string): string {
  return codePoints(text).toReversed().join('');
}
