import { syntaxError } from '../values/template-error.ts';

const simple: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};
const escape = /\\(?:x([\da-fA-F]{0,2})|u([\da-fA-F]{0,4})|U([\da-fA-F]{0,8})|([0-7]{1,3})|([^]))/gu;

/** The inside of a string literal, with Python's escapes. Those that Python does not know stay as they are. */
export function unescapeString(text: string, line: number): string {
  if (!text.includes('\\')) return text;
  return text.replaceAll(escape, (whole, x?: string, u?: string, long?: string, octal?: string, other?: string) => {
    if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
    if (other !== undefined) return Object.hasOwn(simple, other) ? (simple[other] ?? '') : whole;
    const [digits, length] = x !== undefined ? [x, 2] : u !== undefined ? [u, 4] : [long ?? '', 8];
    const code = Number.parseInt(digits, 16);
    if (digits.length < length || code > 0x10ffff) {
      throw syntaxError(`truncated or illegal escape ${JSON.stringify(whole)} in a string`, line);
    }
    return length === 4 ? String.fromCharCode(code) : String.fromCodePoint(code);
  });
}
