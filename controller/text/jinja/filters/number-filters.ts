import { fixed } from '../operations/percent-format.ts';
import { isNumeric, numeric } from '../values/equality.ts';
import { typeError } from '../values/template-error.ts';
import { refuseUndefined } from '../values/undefined.ts';
import { typeName, type Value } from '../values/value.ts';
import { bind, type Filter, wholeNumber } from './filter.ts';

export const numberFilters: Readonly<Record<string, Filter>> = {
  abs: (value) => {
    const number = numberOf(value);
    return number < 0 ? -number : number;
  },
  float: (value, positional, named) => {
    const [otherwise = 0] = bind(['default'], positional, named);
    refuseUndefined(value);
    return parseFloatText(value) ?? otherwise;
  },
  int: (value, positional, named) => {
    const [otherwise = 0n, base = 10n] = bind(['default', 'base'], positional, named);
    refuseUndefined(value);
    const parsed = typeof value === 'string' ? parseInt(value, wholeNumber(base, 10)) : null;
    if (parsed !== null) return parsed;
    const float = parseFloatText(value);
    if (typeof value === 'bigint' || typeof value === 'boolean') return BigInt(value);
    return float === null || !Number.isFinite(float) ? otherwise : BigInt(Math.trunc(float));
  },
  round: (value, positional, named) => {
    const [precision = 0n, method = 'common'] = bind(['precision', 'method'], positional, named);
    return round(numberOf(value), wholeNumber(precision, 0), method);
  },
  filesizeformat: (value, positional, named) => {
    const [binary = false] = bind(['binary'], positional, named);
    return fileSize(Number(numberOf(value)), Boolean(binary));
  },
};

function numberOf(value: Value): bigint | number {
  refuseUndefined(value);
  if (isNumeric(value)) return numeric(value);
  throw typeError(`expected a number, got ${typeName(value)}`);
}

/** Python's `int(text, base)`; null where it would fail. */
function parseInt(text: string, base: number): bigint | null {
  const plain = text
    .trim()
    .replaceAll(/(?<=[\da-z])_(?=[\da-z])/gi, '')
    .toLowerCase();
  const [, sign = '', digits = ''] = /^([-+]?)([\da-z]+)$/.exec(plain) ?? [];
  const prefixes: Readonly<Record<number, string>> = { 2: '0b', 8: '0o', 16: '0x' };
  const prefix = prefixes[base];
  const bare = prefix !== undefined && digits.startsWith(prefix) ? digits.slice(2) : digits;
  if (bare === '') return null;
  let value = 0n;
  for (const digit of bare) {
    const worth = Number.parseInt(digit, 36);
    if (worth >= base) return null;
    value = value * BigInt(base) + BigInt(worth);
  }
  return sign === '-' ? -value : value;
}

/** Python's `float(value)`; null where it would fail. */
function parseFloatText(value: Value): number | null {
  if (isNumeric(value)) return Number(numeric(value));
  if (typeof value !== 'string') return null;
  const text = value
    .trim()
    .replaceAll(/(?<=\d)_(?=\d)/g, '')
    .toLowerCase();
  const [, sign = '', special] = /^([-+]?)(inf|infinity|nan)$/.exec(text) ?? [];
  if (special !== undefined) return special === 'nan' ? Number.NaN : sign === '-' ? -Infinity : Infinity;
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/.test(text) ? Number(text) : null;
}

function round(value: bigint | number, precision: number, method: Value): Value {
  if (method === 'ceil' || method === 'floor') {
    const scaled = Number(value) * 10 ** precision;
    const whole = method === 'ceil' ? Math.ceil(scaled) : Math.floor(scaled);
    return whole / 10 ** precision;
  }
  if (method !== 'common') throw typeError('method must be common, ceil or floor');
  if (typeof value === 'bigint') {
    if (precision >= 0) return value;
    const unit = 10n ** BigInt(-precision);
    return BigInt(roundHalfEven(Number(value) / Number(unit))) * unit;
  }
  if (precision >= 0) return Number(fixed(value, precision));
  return roundHalfEven(value / 10 ** -precision) * 10 ** -precision;
}

function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 ? below : rest > 0.5 ? below + 1 : below % 2 === 0 ? below : below + 1;
}

function fileSize(bytes: number, binary: boolean): string {
  const base = binary ? 1024 : 1000;
  if (bytes === 1) return '1 Byte';
  if (bytes < base) return `${Math.trunc(bytes)} Bytes`;
  const units = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'].map((unit) =>
    binary ? `${unit.toUpperCase()}iB` : `${unit}B`,
  );
  const power = Math.max(
    0,
    units.findIndex((_, at) => bytes < base ** (at + 2)),
  );
  return `${fixed((base * bytes) / base ** (power + 2), 1)} ${units[power]}`;
}
