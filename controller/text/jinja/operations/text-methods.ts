/** The methods of Python's strings. */

import { codePointIndex, codePoints, isBasic, sliceText, textLength } from '../values/code-points.ts';
import { Tuple } from '../values/containers.ts';
import { iterate } from '../values/protocols.ts';
import { typeError, valueError } from '../values/template-error.ts';
import { Callable, type Named, typeName, type Value } from '../values/value.ts';
import { isPythonSpace, trimEndSpace, trimStartSpace } from '../values/whitespace.ts';

type Method = (text: string, positional: readonly Value[], named: Named) => Value;

/** A method of a text, bound to it; undefined for none. */
export function textMethod(text: string, name: string): Callable | undefined {
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  return method && new Callable(name, (positional, named) => method(text, positional, named));
}

export function stripText(text: string, characters: Value, start: boolean, end: boolean): string {
  if (characters === null) {
    const left = start ? trimStartSpace(text) : text;
    return end ? trimEndSpace(left) : left;
  }
  const set = new Set(codePoints(textOf(characters)));
  const units = codePoints(text);
  let [from, to] = [0, units.length];
  if (start) while (from < to && set.has(units[from] ?? '')) from += 1;
  if (end) while (to > from && set.has(units[to - 1] ?? '')) to -= 1;
  return units.slice(from, to).join('');
}

/** What ends a line in Python, as part of an expression. */
const lineEnds = '\\n\\r\\v\\f\\u001c-\\u001e\\u0085\\u2028\\u2029';
const lineOf = new RegExp(`[^${lineEnds}]*(?:\\r\\n|[${lineEnds}]|$)`, 'g');
const lineEnd = new RegExp(`(?:\\r\\n|[${lineEnds}])$`);

/** Lines by all that Python takes for a line's end. */
export function splitLines(text: string, keepEnds = false): readonly string[] {
  const lines = text.match(lineOf) ?? [];
  const kept = lines.filter((line, index) => line !== '' || index < lines.length - 1);
  return keepEnds ? kept : kept.map((line) => line.replace(lineEnd, ''));
}

export function capitalize(text: string): string {
  const [first = '', ...rest] = codePoints(text);
  const [upper = '', ...more] = codePoints(first.toUpperCase());
  return upper + (more.join('') + rest.join('')).toLowerCase();
}

function textOf(value: Value | undefined): string {
  if (typeof value === 'string') return value;
  throw typeError(`expected str, got ${value === undefined ? 'nothing' : typeName(value)}`);
}

function argument(positional: readonly Value[], named: Named, index: number, name: string): Value {
  return positional[index] ?? named.get(name) ?? null;
}

/** The part of a text in which something is looked for, and where it begins, in code points. */
function within(text: string, positional: readonly Value[]): { readonly part: string; readonly from: number } {
  const size = textLength(text);
  const place = (value: Value | undefined, otherwise: number): number => {
    if (value === undefined || value === null) return otherwise;
    const index = Number(value);
    return Math.min(Math.max(index < 0 ? index + size : index, 0), size);
  };
  const from = place(positional[1], 0);
  if (positional[1] !== undefined && Number(positional[1] ?? 0) > size) return { part: '', from: size + 1 };
  return { part: sliceText(text, from, place(positional[2], size)), from };
}

function find(text: string, positional: readonly Value[], last: boolean): number {
  const { part, from } = within(text, positional);
  const wanted = textOf(positional[0]);
  const unit = last ? part.lastIndexOf(wanted) : part.indexOf(wanted);
  return unit < 0 ? -1 : from + codePointIndex(part, unit);
}

function index(text: string, positional: readonly Value[], last: boolean): bigint {
  const at = find(text, positional, last);
  if (at < 0) throw valueError('substring not found');
  return BigInt(at);
}

function affix(
  text: string,
  positional: readonly Value[],
  matches: (part: string, wanted: string) => boolean,
): boolean {
  const [wanted] = positional;
  const { part } = within(text, positional);
  const all = wanted instanceof Tuple ? wanted.items : [wanted ?? null];
  return all.some((one) => matches(part, textOf(one)));
}

function split(text: string, separator: Value, most: number, fromEnd: boolean): readonly string[] {
  if (separator === null) return splitSpace(text, most, fromEnd);
  const by = textOf(separator);
  if (by === '') throw valueError('empty separator');
  const parts = text.split(by);
  if (most < 0 || parts.length <= most + 1) return parts;
  return fromEnd
    ? [parts.slice(0, parts.length - most).join(by), ...parts.slice(parts.length - most)]
    : [...parts.slice(0, most), parts.slice(most).join(by)];
}

function splitSpace(text: string, most: number, fromEnd: boolean): readonly string[] {
  const words: string[] = [];
  let rest = fromEnd ? trimEndSpace(text) : trimStartSpace(text);
  while (rest !== '') {
    if (most >= 0 && words.length >= most) {
      words.push(fromEnd ? trimEndSpace(rest) : rest);
      break;
    }
    const units = codePoints(rest);
    const end = fromEnd ? units.findLastIndex(isPythonSpace) : units.findIndex(isPythonSpace);
    if (end < 0) {
      words.push(rest);
      break;
    }
    words.push(units.slice(fromEnd ? end + 1 : 0, fromEnd ? units.length : end).join(''));
    const left = units.slice(fromEnd ? 0 : end, fromEnd ? end : units.length).join('');
    rest = fromEnd ? trimEndSpace(left) : trimStartSpace(left);
  }
  if (!fromEnd && most >= 0 && words.length > most) return words;
  return fromEnd ? words.reverse() : words.filter((word) => word !== '');
}

function splitting(fromEnd: boolean): Method {
  return (text, positional, named) => {
    const most = argument(positional, named, 1, 'maxsplit') ?? -1n;
    return split(text, argument(positional, named, 0, 'sep'), Number(most), fromEnd);
  };
}

function partition(text: string, separator: string, last: boolean): Tuple {
  if (separator === '') throw valueError('empty separator');
  const at = last ? text.lastIndexOf(separator) : text.indexOf(separator);
  if (at < 0) return new Tuple(last ? ['', '', text] : [text, '', '']);
  return new Tuple([text.slice(0, at), separator, text.slice(at + separator.length)]);
}

/** Fills a text up to a width, on one side or both. */
export function justify(text: string, width: Value, fill: string, side: 'left' | 'right' | 'both'): string {
  const missing = Math.max(0, Number(width) - textLength(text));
  // Python puts the odd one to the left where the width is odd.
  const before =
    side === 'left' ? 0 : side === 'right' ? missing : Math.floor(missing / 2) + (missing & Number(width) & 1);
  return fill.repeat(before) + text + fill.repeat(missing - before);
}

export function replaceText(text: string, old: string, by: string, most: number): string {
  if (most < 0)
    return old === '' ? codePoints(text).reduce((all, one) => all + one + by, by) : text.replaceAll(old, () => by);
  if (old === '') {
    const units = codePoints(text);
    return units.map((unit, at) => (at < most ? by : '') + unit).join('') + (most > units.length ? by : '');
  }
  const parts = text.split(old);
  const kept = Math.max(0, parts.length - 1 - most);
  return (
    parts.slice(0, parts.length - kept).join(by) +
    parts
      .slice(parts.length - kept)
      .map((part) => old + part)
      .join('')
  );
}

/** Whether a text is not empty and every character passes. */
function every(pattern: RegExp): Method {
  return (text) => text !== '' && codePoints(text).every((character) => pattern.test(character));
}

function isCased(text: string, same: (text: string) => string): boolean {
  return same(text) === text && text.toLowerCase() !== text.toUpperCase();
}

function title(text: string): string {
  return text.replaceAll(/\p{L}+/gu, capitalize);
}

function expandTabs(text: string, size: number): string {
  let column = 0;
  return codePoints(text)
    .map((character) => {
      if (character !== '\t') {
        column = character === '\n' || character === '\r' ? 0 : column + 1;
        return character;
      }
      const spaces = size > 0 ? size - (column % size) : 0;
      column += spaces;
      return ' '.repeat(spaces);
    })
    .join('');
}

const methods: Readonly<Record<string, Method>> = {
  capitalize: (text) => capitalize(text),
  casefold: (text) => text.toLowerCase().replaceAll('ß', 'ss'),
  center: (text, [width = 0n, fill = ' ']) => justify(text, width, textOf(fill), 'both'),
  count: (text, positional) => {
    const { part } = within(text, positional);
    const wanted = textOf(positional[0]);
    return BigInt(wanted === '' ? textLength(part) + 1 : part.split(wanted).length - 1);
  },
  endswith: (text, positional) => affix(text, positional, (part, wanted) => part.endsWith(wanted)),
  expandtabs: (text, positional, named) => expandTabs(text, Number(argument(positional, named, 0, 'tabsize') ?? 8)),
  find: (text, positional) => BigInt(find(text, positional, false)),
  index: (text, positional) => index(text, positional, false),
  isalnum: every(/[\p{L}\p{N}]/u),
  isalpha: every(/\p{L}/u),
  isascii: (text) => isBasic(text) && !codePoints(text).some((character) => character > '\u007f'),
  isdecimal: every(/\p{Nd}/u),
  isdigit: every(/[\p{Nd}²³¹⁰⁴-⁹₀-₉]/u),
  isidentifier: (text) => /^[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*$/u.test(text),
  islower: (text) => isCased(text, (one) => one.toLowerCase()),
  isnumeric: every(/\p{N}/u),
  isprintable: (text) => !/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(text),
  isspace: (text) => text !== '' && codePoints(text).every(isPythonSpace),
  istitle: (text) => title(text) === text && /\p{L}/u.test(text),
  isupper: (text) => isCased(text, (one) => one.toUpperCase()),
  join: (text, [items = null]) =>
    [...iterate(items)]
      .map((item, at) => {
        if (typeof item === 'string') return item;
        throw typeError(`sequence item ${at}: expected str instance, ${typeName(item)} found`);
      })
      .join(text),
  ljust: (text, [width = 0n, fill = ' ']) => justify(text, width, textOf(fill), 'left'),
  lower: (text) => text.toLowerCase(),
  lstrip: (text, [characters = null]) => stripText(text, characters, true, false),
  partition: (text, [separator]) => partition(text, textOf(separator), false),
  removeprefix: (text, [prefix]) => (text.startsWith(textOf(prefix)) ? text.slice(textOf(prefix).length) : text),
  removesuffix: (text, [suffix]) =>
    textOf(suffix) !== '' && text.endsWith(textOf(suffix)) ? text.slice(0, -textOf(suffix).length) : text,
  replace: (text, positional, named) =>
    replaceText(
      text,
      textOf(positional[0]),
      textOf(positional[1]),
      Number(argument(positional, named, 2, 'count') ?? -1n),
    ),
  rfind: (text, positional) => BigInt(find(text, positional, true)),
  rindex: (text, positional) => index(text, positional, true),
  rjust: (text, [width = 0n, fill = ' ']) => justify(text, width, textOf(fill), 'right'),
  rpartition: (text, [separator]) => partition(text, textOf(separator), true),
  rsplit: splitting(true),
  rstrip: (text, [characters = null]) => stripText(text, characters, false, true),
  split: splitting(false),
  splitlines: (text, positional, named) => splitLines(text, Boolean(argument(positional, named, 0, 'keepends'))),
  startswith: (text, positional) => affix(text, positional, (part, wanted) => part.startsWith(wanted)),
  strip: (text, [characters = null]) => stripText(text, characters, true, true),
  swapcase: (text) =>
    codePoints(text)
      .map((one) => (one === one.toLowerCase() ? one.toUpperCase() : one.toLowerCase()))
      .join(''),
  title: (text) => title(text),
  upper: (text) => text.toUpperCase(),
  zfill: (text, [width = 0n]) => {
    const sign = /^[-+]/.exec(text)?.[0] ?? '';
    return sign + justify(text.slice(sign.length), BigInt(Number(width) - sign.length), '0', 'right');
  },
};
