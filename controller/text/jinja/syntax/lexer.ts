/**
 * Text to tokens, with `trim_blocks` and `lstrip_blocks`: the first newline after a block or comment goes, and the spaces
 * before one that stands first in its line. A "-" inside a delimiter takes all whitespace on its side, a "+" none.
 */
import { syntaxError } from '../values/template-error.ts';
import { isPythonSpace, trimEndSpace } from '../values/whitespace.ts';
import { type Mark, type Operator, operators, type Token } from './tokens.ts';
import { unescapeString } from './unescape.ts';

/** Reads a whole template. Throws a JinjaError. */
export function tokenize(template: string): readonly Token[] {
  return new Lexer(template).run();
}

const opening = /\{([{%#])/g;
const rawBegin = /\{%([-+]?)\s*raw\s*(?:-%\}\s*|%\})/y;
const rawEnd = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g;
const commentEnd = /\+#\}|-#\}\s*|#\}\n?/g;
const blockEnd = /\+%\}|-%\}\s*|%\}\n?/y;
const variableEnd = /-\}\}\s*|\}\}/y;
const number = /(?<![.])(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const integer = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const name = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const quoted = /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/y;
const closers: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  /** Whether what came last ended its line. */
  #lineBegins = true;
  /** The line of #counted, for errors. */
  #line = 1;
  #counted = 0;

  constructor(template: string) {
    const source = template.replaceAll(/\r\n?/g, '\n');
    this.#source = source.endsWith('\n') ? source.slice(0, -1) : source;
  }

  run(): readonly Token[] {
    while (this.#at < this.#source.length) this.#readData();
    this.#push('eof');
    return this.#tokens;
  }

  /** Text up to the next delimiter, and what that begins. */
  #readData(): void {
    opening.lastIndex = this.#at;
    const found = opening.exec(this.#source);
    const end = found?.index ?? this.#source.length;
    const text = this.#source.slice(this.#at, end);
    if (found === null) {
      this.#data(text);
      this.#at = end;
      return;
    }
    const [delimiter, kind = ''] = found;
    const raw = kind === '%' ? this.#match(rawBegin, end) : null;
    const sign = raw?.[1] ?? /^[-+]/.exec(this.#source.slice(end + 2, end + 3))?.[0] ?? '';
    this.#data(this.#stripped(text, sign, kind !== '{'));
    if (raw !== null) return this.#readRaw(end + raw[0].length, raw[0]);
    this.#at = end + delimiter.length + sign.length;
    if (kind === '#') this.#readComment();
    else this.#readTag(kind === '{' ? 'variable' : 'block');
  }

  /** What of a text stays before a delimiter. */
  #stripped(text: string, sign: string, isBlock: boolean): string {
    if (sign === '-') return trimEndSpace(text);
    if (sign === '+' || !isBlock) return text;
    const lineStart = text.lastIndexOf('\n') + 1;
    const onlySpace = trimEndSpace(text.slice(lineStart)) === '';
    return (lineStart > 0 || this.#lineBegins) && onlySpace ? text.slice(0, lineStart) : text;
  }

  #readRaw(start: number, begin: string): void {
    this.#lineBegins = begin.endsWith('\n');
    rawEnd.lastIndex = start;
    const end = rawEnd.exec(this.#source);
    if (end === null) throw syntaxError('Missing end of raw directive', this.#lineOf(start));
    this.#data(this.#stripped(this.#source.slice(start, end.index), end[1] ?? '', true));
    this.#at = rawEnd.lastIndex;
    this.#lineBegins = end[0].endsWith('\n');
  }

  #readComment(): void {
    commentEnd.lastIndex = this.#at;
    const end = commentEnd.exec(this.#source);
    if (end === null) throw syntaxError('Missing end of comment tag', this.#lineOf(this.#at));
    this.#at = commentEnd.lastIndex;
    this.#lineBegins = end[0].endsWith('\n');
  }

  /** An expression or a statement, to the end of its delimiters. */
  #readTag(kind: 'variable' | 'block'): void {
    this.#push(`${kind}_begin`);
    const ending = kind === 'variable' ? variableEnd : blockEnd;
    const open: string[] = [];
    while (this.#at < this.#source.length) {
      const end = open.length === 0 ? this.#match(ending, this.#at) : null;
      if (end !== null) {
        this.#push(`${kind}_end`);
        this.#at += end[0].length;
        this.#lineBegins = end[0].endsWith('\n');
        return;
      }
      this.#readToken(open);
    }
  }

  #readToken(open: string[]): void {
    const first = this.#source[this.#at] ?? '';
    if (isPythonSpace(first)) {
      this.#at += 1;
      return;
    }
    const line = this.#lineOf(this.#at);
    const take = (pattern: RegExp): string | null => {
      const found = this.#match(pattern, this.#at)?.[0] ?? null;
      this.#at += found?.length ?? 0;
      return found;
    };
    const float = take(number);
    if (float !== null) return void this.#tokens.push({ kind: 'float', value: Number(plain(float)), line });
    const int = take(integer);
    if (int !== null) return void this.#tokens.push({ kind: 'integer', value: BigInt(plain(int)), line });
    const word = take(name);
    if (word !== null) return void this.#tokens.push({ kind: 'name', value: word, line });
    const string = take(quoted);
    if (string !== null) {
      return void this.#tokens.push({ kind: 'string', value: unescapeString(string.slice(1, -1), line), line });
    }
    const operator = operators.find((text) => this.#source.startsWith(text, this.#at));
    if (operator === undefined) throw syntaxError(`unexpected char ${JSON.stringify(first)}`, line);
    balance(open, operator, line);
    this.#push(operator);
    this.#at += operator.length;
  }

  #match(pattern: RegExp, at: number): RegExpExecArray | null {
    pattern.lastIndex = at;
    return pattern.exec(this.#source);
  }

  #data(text: string): void {
    if (text !== '') this.#tokens.push({ kind: 'data', value: text, line: this.#lineOf(this.#at) });
  }

  #push(kind: Mark | Operator): void {
    this.#tokens.push({ kind, line: this.#lineOf(this.#at) });
  }

  /** Positions never go back. */
  #lineOf(at: number): number {
    for (; this.#counted < at; this.#counted++) if (this.#source[this.#counted] === '\n') this.#line += 1;
    return this.#line;
  }
}

/** A number without its underscores. */
function plain(digits: string): string {
  const text = digits.replaceAll('_', '');
  return /^0+$/.test(text) ? '0' : text.toLowerCase();
}

/** Keeps account of brackets: delimiters end nothing inside them. */
function balance(open: string[], operator: Operator, line: number): void {
  const closer = closers[operator];
  if (closer !== undefined) open.push(closer);
  else if (Object.values(closers).includes(operator)) {
    const expected = open.pop();
    if (expected === undefined) throw syntaxError(`unexpected '${operator}'`, line);
    if (expected !== operator) throw syntaxError(`unexpected '${operator}', expected '${expected}'`, line);
  }
}
