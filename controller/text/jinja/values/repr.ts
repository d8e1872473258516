/** How Python writes values: `str()` and `repr()`. */
import { isList, PythonObject, type Value } from './value.ts';

/** What printing a value gives. */
export function str(value: Value): string {
  if (typeof value === 'string') return value;
  return value instanceof PythonObject ? value.str() : repr(value);
}

export function repr(value: Value): string {
  if (value === null) return 'None';
  switch (typeof value) {
    case 'boolean':
      return value ? 'True' : 'False';
    case 'bigint':
      return value.toString();
    case 'number':
      return formatFloat(value);
    case 'string':
      return quoteString(value);
    default:
      return isList(value) ? `[${value.map(repr).join(', ')}]` : value.repr();
  }
}

/** The shortest digits that give the same float, in Python's notation. */
export function formatFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [mantissa = '', exponentText = '0'] = value.toExponential().split('e');
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    const digits = String(Math.abs(exponent)).padStart(2, '0');
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${digits}`;
  }
  const sign = value < 0 ? '-' : '';
  const digits = mantissa.replace('-', '').replace('.', '');
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`;
}

const named: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
/** What Python does not show as it is: controls, formats, surrogates, unassigned ones and all spaces but one. */
const hidden = /[\p{C}\p{Zl}\p{Zp}\\]|(?! )\p{Zs}/gu;

function quoteString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const shown = text.replaceAll(hidden, (character) => named[character] ?? escapeCharacter(character));
  return `${quote}${quote === "'" ? shown.replaceAll("'", "\\'") : shown}${quote}`;
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const digits = code.toString(16);
  if (code < 0x100) return `\\x${digits.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`;
}
