/** `"{} {name:>8}".format(value, name=value)`. */

import { sliceText, textLength } from '../values/code-points.ts';
import { repr, str } from '../values/repr.ts';
import { JinjaError, valueError } from '../values/template-error.ts';
import type { Named, Value } from '../values/value.ts';
import { fixed, formatNumber } from './percent-format.ts';
import { itemOf } from './subscript.ts';

const field = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;

/** `attribute` looks up a field's `.name`; undefined for none. */
export function formatText(
  text: string,
  positional: readonly Value[],
  named: Named,
  attribute: (value: Value, name: string) => Value | undefined,
): string {
  let next = 0;
  const numbered = /\{\d/.test(text);
  return text.replaceAll(field, (whole, inside?: string) => {
    if (whole === '{{') return '{';
    if (whole === '}}') return '}';
    if (inside === undefined) throw valueError(`Single '${whole}' encountered in format string`);
    const [, path = '', conversion = '', spec = ''] = /^([^!:]*)(?:!([rsa]))?(?::(.*))?$/s.exec(inside) ?? [];
    if (numbered && (path === '' || /^[.[]/.test(path))) {
      throw valueError('cannot switch from manual field specification to automatic field numbering');
    }
    const [first = '', ...rest] = path.match(/^[^.[]*|\.[^.[]+|\[[^\]]+\]/g) ?? [''];
    const value = rest.reduce(
      (of, part) => step(of, part, attribute),
      first === '' ? at(positional, next++) : argument(first, positional, named),
    );
    const converted = conversion === 'r' || conversion === 'a' ? repr(value) : conversion === 's' ? str(value) : value;
    return formatValue(converted, spec);
  });
}

function at(positional: readonly Value[], index: number): Value {
  const value = positional[index];
  if (value === undefined) throw new JinjaError(`Replacement index ${index} out of range`, 'IndexError');
  return value;
}

function argument(name: string, positional: readonly Value[], named: Named): Value {
  if (/^\d+$/.test(name)) return at(positional, Number(name));
  const value = named.get(name);
  if (value === undefined) throw new JinjaError(`'${name}'`, 'KeyError');
  return value;
}

function step(value: Value, part: string, attribute: (value: Value, name: string) => Value | undefined): Value {
  const name = part.startsWith('.') ? part.slice(1) : part.slice(1, -1);
  const found = part.startsWith('.') ? attribute(value, name) : itemOf(value, /^\d+$/.test(name) ? BigInt(name) : name);
  if (found === undefined) throw new JinjaError(`'${name}'`, 'KeyError');
  return found;
}

const specification = /^(?:(.)?([<>=^]))?([-+ ]?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([a-zA-Z%]?)$/su;

function formatValue(value: Value, spec: string): string {
  if (spec === '') return str(value);
  const parts = specification.exec(spec);
  if (parts === null) throw valueError(`Invalid format specifier '${spec}'`);
  const [, fill, align, sign = '', , zero = '', width = '', group = '', precision, kind = ''] = parts;
  const isNumber = typeof value === 'bigint' || typeof value === 'number';
  const body = isNumber ? numberText(value, kind, precision, group) : shortened(str(value), precision);
  const signed = isNumber && !body.startsWith('-') && sign !== '-' ? sign + body : body;
  const padding = fill ?? (zero === '' ? ' ' : '0');
  const side = align ?? (zero === '' ? (isNumber ? '>' : '<') : '=');
  const missing = Math.max(0, Number(width) - textLength(signed));
  if (side === '=') {
    const lead = /^[-+ ]?/.exec(signed)?.[0] ?? '';
    return lead + padding.repeat(missing) + signed.slice(lead.length);
  }
  const before = side === '<' ? 0 : side === '>' ? missing : Math.floor(missing / 2);
  return padding.repeat(before) + signed + padding.repeat(missing - before);
}

function shortened(text: string, precision: string | undefined): string {
  return precision === undefined ? text : sliceText(text, 0, Number(precision));
}

function numberText(value: bigint | number, kind: string, precision: string | undefined, group: string): string {
  const text = plainNumber(value, kind, precision);
  if (group === '') return text;
  const [, sign = '', whole = '', rest = ''] = /^(-?)(\d+)(.*)$/s.exec(text) ?? [];
  return `${sign}${whole.replaceAll(/\B(?=(\d{3})+$)/g, group)}${rest}`;
}

function plainNumber(value: bigint | number, kind: string, precision: string | undefined): string {
  const radix = { b: 2, o: 8, x: 16, X: 16 }[kind];
  if (typeof value === 'bigint' && radix !== undefined) {
    return kind === 'X' ? value.toString(radix).toUpperCase() : value.toString(radix);
  }
  if (typeof value === 'bigint' && ['', 'd', 'n'].includes(kind)) return value.toString();
  if (kind === '%') return `${fixed(Number(value) * 100, Number(precision ?? 6))}%`;
  if (kind === '') return precision === undefined ? str(value) : formatNumber('g', Number(value), Number(precision));
  if ('eEfFgG'.includes(kind)) return formatNumber(kind, Number(value), Number(precision ?? 6));
  throw valueError(`Unknown format code '${kind}' for object of type '${typeof value === 'bigint' ? 'int' : 'float'}'`);
}
