/** `"%s is %d" % (name, value)`. */

import { sliceText, textLength } from '../values/code-points.ts';
import { Dict, Tuple } from '../values/containers.ts';
import { isNumeric, numeric } from '../values/equality.ts';
import { formatFloat, repr, str } from '../values/repr.ts';
import { typeError, valueError } from '../values/template-error.ts';
import { Undefined } from '../values/undefined.ts';
import { isList, typeName, type Value } from '../values/value.ts';

const conversion = /%(?:\((\w*)\))?([#0\- +]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?([^])?/gu;

export function formatPercent(format: string, given: Value): string {
  const values = given instanceof Tuple ? [...given.items] : [given];
  let used = 0;
  const take = (): Value => {
    if (used >= values.length) throw typeError('not enough arguments for format string');
    return values[used++] ?? null;
  };
  const text = format.replaceAll(
    conversion,
    (_, name: string | undefined, flags: string, width?: string, precision?: string, kind?: string) => {
      if (kind === undefined) throw valueError('incomplete format');
      if (kind === '%') return '%';
      const columns = width === '*' ? Number(take()) : Number(width ?? 0);
      const digits = precision === '*' ? Number(take()) : precision === undefined ? null : Number(precision);
      const value = name === undefined ? take() : member(given, name);
      return pad(convert(kind, value, flags, digits), columns, flags, 'diouxXeEfFgG'.includes(kind));
    },
  );
  const byName = given instanceof Dict || given instanceof Undefined || isList(given);
  if (used < values.length && !byName) throw typeError('not all arguments converted during string formatting');
  return text;
}

function member(given: Value, name: string): Value {
  if (!(given instanceof Dict)) throw typeError('format requires a mapping');
  const value = given.get(name);
  if (value === undefined) throw typeError(`'${name}'`);
  return value;
}

function pad(text: string, width: number, flags: string, isNumber: boolean): string {
  const missing = width - textLength(text);
  if (missing <= 0) return text;
  if (flags.includes('-')) return text + ' '.repeat(missing);
  if (!flags.includes('0') || !isNumber) return ' '.repeat(missing) + text;
  const sign = /^[-+ ]?/.exec(text)?.[0] ?? '';
  return sign + '0'.repeat(missing) + text.slice(sign.length);
}

function convert(kind: string, value: Value, flags: string, precision: number | null): string {
  switch (kind) {
    case 's':
    case 'r':
    case 'a': {
      const text = kind === 's' ? str(value) : repr(value);
      return precision === null ? text : sliceText(text, 0, precision);
    }
    case 'c':
      return typeof value === 'bigint' ? String.fromCodePoint(Number(value)) : str(value);
    case 'd':
    case 'i':
    case 'u':
      return signed(
        integer(kind, value)
          .toString()
          .padStart(precision ?? 0, '0'),
        flags,
      );
    case 'o':
      return signed(`${flags.includes('#') ? '0o' : ''}${integer(kind, value).toString(8)}`, flags);
    case 'x':
    case 'X': {
      const text = `${flags.includes('#') ? '0x' : ''}${integer(kind, value).toString(16)}`;
      return signed(kind === 'X' ? text.toUpperCase() : text, flags);
    }
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      return signed(formatNumber(kind, float(value), precision ?? 6), flags);
    default:
      throw valueError(`unsupported format character '${kind}'`);
  }
}

function signed(text: string, flags: string): string {
  if (text.startsWith('-')) return text;
  return flags.includes('+') ? `+${text}` : flags.includes(' ') ? ` ${text}` : text;
}

function integer(kind: string, value: Value): bigint {
  if (typeof value === 'number' && 'diu'.includes(kind)) return BigInt(Math.trunc(value));
  if (isNumeric(value) && typeof value !== 'number') return BigInt(value);
  throw typeError(`%${kind} format: a real number is required, not ${typeName(value)}`);
}

function float(value: Value): number {
  if (isNumeric(value)) return Number(numeric(value));
  throw typeError(`must be real number, not ${typeName(value)}`);
}

/** A float in the notation of `e`, `f` or `g`. */
export function formatNumber(kind: string, value: number, precision: number): string {
  if (!Number.isFinite(value)) return formatFloat(value);
  const lower = kind.toLowerCase();
  const text =
    lower === 'f' ? fixed(value, precision) : lower === 'e' ? exponential(value, precision) : general(value, precision);
  return kind === lower ? text : text.toUpperCase();
}

/** `toFixed` for any size and precision: it rounds the exact value, and ties to even, as C does. */
export function fixed(value: number, precision: number): string {
  if (Math.abs(value) < 1e21 && precision <= 100) return evenTie(value, precision) ?? value.toFixed(precision);
  return `${BigInt(value)}${precision === 0 ? '' : `.${'0'.repeat(precision)}`}`;
}

/** The rounded text of a value that lies exactly between two; JavaScript rounds those away from zero. */
function evenTie(value: number, precision: number): string | null {
  const scaled = Math.abs(value) * 10 ** precision;
  if (precision > 15 || !Number.isSafeInteger(scaled * 2) || Number.isInteger(scaled)) return null;
  if (Math.abs(value) !== scaled / 10 ** precision) return null;
  const even = Math.floor(scaled) % 2 === 0 ? Math.floor(scaled) : Math.ceil(scaled);
  const exact = (even / 10 ** precision).toFixed(precision);
  const isTie = Number.isInteger(Math.abs(value) * 2 ** Math.min(precision + 1, 50));
  return isTie ? `${value < 0 ? '-' : ''}${exact}` : null;
}

function exponential(value: number, precision: number): string {
  return value.toExponential(Math.min(precision, 100)).replace(/e([+-])(\d)$/, 'e$10$2');
}

function general(value: number, given: number): string {
  const precision = Math.max(1, given);
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const exponent = Number(value.toExponential(precision - 1).split('e')[1]);
  const text =
    exponent < -4 || exponent >= precision ? exponential(value, precision - 1) : fixed(value, precision - 1 - exponent);
  return text.includes('.') ? text.replace(/\.?0+(e|$)/, '$1') : text;
}
