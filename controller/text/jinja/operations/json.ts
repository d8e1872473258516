/** `json.dumps`, with the options of the reference's `tojson`. */

import { Dict, Tuple } from '../values/containers.ts';
import { order } from '../values/equality.ts';
import { formatFloat } from '../values/repr.ts';
import { typeError, valueError } from '../values/template-error.ts';
import { isList, typeName, type Value } from '../values/value.ts';

export interface JsonOptions {
  readonly ascii: boolean;
  /** Of a level; null: all in one line. */
  readonly indent: string | null;
  /** Between items, and between a key and its value. */
  readonly separators: readonly [string, string];
  readonly sortKeys: boolean;
}

export function toJson(value: Value, options: JsonOptions, level = 0): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'string') return quoteJson(value, options.ascii);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return floatJson(value);
  if (isList(value) || value instanceof Tuple) {
    const items = isList(value) ? value : value.items;
    return enclosed(
      '[',
      items.map((item) => toJson(item, options, level + 1)),
      ']',
      options,
      level,
    );
  }
  if (value instanceof Dict) {
    const entries = [...value.entries()];
    if (options.sortKeys) entries.sort(([a], [b]) => order(a, b));
    const [, colon] = options.separators;
    const members = entries.map(
      ([key, item]) => `${quoteJson(keyText(key), options.ascii)}${colon}${toJson(item, options, level + 1)}`,
    );
    return enclosed('{', members, '}', options, level);
  }
  throw typeError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function enclosed(open: string, items: readonly string[], close: string, options: JsonOptions, level: number): string {
  if (level > 900) throw valueError('the value is nested too deeply for JSON');
  if (items.length === 0) return open + close;
  const { indent, separators } = options;
  if (indent === null) return open + items.join(separators[0]) + close;
  const line = `\n${indent.repeat(level + 1)}`;
  return `${open}${line}${items.join(separators[0] + line)}\n${indent.repeat(level)}${close}`;
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null) return 'null';
  if (typeof key === 'boolean') return key ? 'true' : 'false';
  if (typeof key === 'bigint') return key.toString();
  if (typeof key === 'number') return floatJson(key);
  throw typeError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function floatJson(value: number): string {
  if (Number.isFinite(value)) return formatFloat(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

const short: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
};

function quoteJson(text: string, ascii: boolean): string {
  // oxlint-disable-next-line no-control-regex -- controls are what JSON escapes
  const escaped = ascii ? /["\\]|[^ -~]/g : /["\\\u0000-\u001f]/g;
  const shown = text.replaceAll(
    escaped,
    (unit) => short[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `"${shown}"`;
}
