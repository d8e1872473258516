/**
 * Grammars as llama.cpp and XGrammar write them (GBNF, EBNF): rules `name ::= …` of which `root` is the whole text, strings,
 * character classes, groups, alternatives with |, repetition with *, +, ?, {n}, {n,}, {n,m}, and comments behind #.
 */
import { type CodePoints, codePoints, complement, everyCharacter } from '../automaton/code-points.ts';
import {
  call,
  character,
  choice,
  type Expression,
  type Rule,
  repeat,
  sequence,
  text,
} from '../automaton/expression.ts';
import { GrammarSyntax } from './grammar-syntax.ts';

/** Throws GrammarSyntax, with the line. */
export function compileEbnf(source: string): Expression {
  return new EbnfReader(source).grammar();
}

const blanks = /(?:[ \t\r\n]|#[^\n]*)*/y;
const ruleName = /[A-Za-z_][A-Za-z0-9_.-]*/y;
const define = /::=/y;
const counts = /\{[ ]*(\d{1,5})[ ]*(?:(,)[ ]*(\d{1,5})?[ ]*)?\}/y;
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', v: '\v', 0: '\0' };
const hex = /x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|u\{([0-9A-Fa-f]{1,6})\}/y;

class EbnfReader {
  readonly #source: string;
  readonly #rules = new Map<string, Rule>();
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  grammar(): Expression {
    this.#match(blanks);
    while (this.#at < this.#source.length) this.#rule();
    for (const { name, expression } of this.#rules.values()) {
      if (expression === null) this.#fail(`there is no rule ${name}`);
    }
    const root = this.#rules.get('root');
    return root === undefined ? this.#fail('there is no rule root') : call(root);
  }

  #rule(): void {
    const name = this.#match(ruleName)?.[0] ?? this.#fail('expected the name of a rule');
    this.#match(blanks);
    if (this.#match(define) === null) this.#fail(`expected ::= behind ${name}`);
    this.#match(blanks);
    const rule = this.#named(name);
    if (rule.expression !== null) this.#fail(`rule ${name} is there twice`);
    rule.expression = this.#choice(0);
  }

  #named(name: string): Rule {
    const rule = this.#rules.get(name) ?? { name, expression: null };
    this.#rules.set(name, rule);
    return rule;
  }

  #choice(depth: number): Expression {
    if (depth > 200) this.#fail('groups are nested too deeply');
    const parts = [this.#sequence(depth)];
    while (this.#option('|')) parts.push(this.#sequence(depth));
    return choice(...parts);
  }

  #sequence(depth: number): Expression {
    const parts: Expression[] = [];
    for (let item = this.#item(depth); item !== null; item = this.#item(depth)) parts.push(this.#repeated(item));
    return sequence(...parts);
  }

  #repeated(item: Expression): Expression {
    let repeated = item;
    for (;;) {
      if (this.#option('*')) repeated = repeat(repeated, 0, null);
      else if (this.#option('+')) repeated = repeat(repeated, 1, null);
      else if (this.#option('?')) repeated = repeat(repeated, 0, 1);
      else {
        const count = this.#match(counts);
        if (count === null) return repeated;
        this.#match(blanks);
        const [, least, comma, most] = count;
        if (most !== undefined && Number(most) < Number(least)) this.#fail(`${count[0]}: expected ascending counts`);
        repeated = repeat(
          repeated,
          Number(least),
          comma === undefined ? Number(least) : most === undefined ? null : Number(most),
        );
      }
    }
  }

  /** Null at the end of a sequence. */
  #item(depth: number): Expression | null {
    const next = this.#source[this.#at];
    if (next === '"') return this.#string();
    if (next === '[') return this.#class();
    if (next === '.') {
      this.#option('.');
      return character(everyCharacter);
    }
    if (this.#option('(')) {
      const inner = this.#choice(depth + 1);
      if (!this.#option(')')) this.#fail('expected )');
      return inner;
    }
    const start = this.#at;
    const name = this.#match(ruleName)?.[0];
    if (name === undefined) {
      if (next === undefined || next === '|' || next === ')') return null;
      return this.#fail(`unexpected ${JSON.stringify(next)}`);
    }
    this.#match(blanks);
    if (this.#source.startsWith('::=', this.#at)) {
      this.#at = start;
      return null;
    }
    return call(this.#named(name));
  }

  #string(): Expression {
    this.#at++;
    let value = '';
    while (this.#source[this.#at] !== '"') value += String.fromCodePoint(this.#character('"'));
    this.#at++;
    this.#match(blanks);
    return text(value);
  }

  #class(): Expression {
    this.#at++;
    const negated = this.#source[this.#at] === '^';
    if (negated) this.#at++;
    const ranges: [number, number][] = [];
    while (this.#source[this.#at] !== ']') {
      const first = this.#character(']');
      let last = first;
      if (this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']') {
        this.#at++;
        last = this.#character(']');
      }
      if (last < first) this.#fail('expected an ascending range');
      ranges.push([first, last]);
    }
    this.#at++;
    this.#match(blanks);
    const set: CodePoints = codePoints(ranges);
    return character(negated ? complement(set) : set);
  }

  /** The next character of a string or class; `end`: what closes it. */
  #character(end: string): number {
    const point = this.#source.codePointAt(this.#at);
    if (point === undefined || point === 0xa) return this.#fail(`expected ${end}`);
    this.#at += point > 0xffff ? 2 : 1;
    if (point !== 0x5c) return point;
    const coded = this.#match(hex);
    if (coded !== null) {
      const value = Number.parseInt(coded[1] ?? coded[2] ?? coded[3] ?? coded[4] ?? '', 16);
      return value <= 0x10ffff ? value : this.#fail('expected a code point');
    }
    const escaped = this.#source[this.#at++] ?? this.#fail(`expected ${end}`);
    return (escapes[escaped] ?? escaped).charCodeAt(0);
  }

  #option(mark: string): boolean {
    if (!this.#source.startsWith(mark, this.#at)) return false;
    this.#at += mark.length;
    this.#match(blanks);
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }

  #fail(problem: string): never {
    const line = this.#source.slice(0, this.#at).split('\n').length;
    throw new GrammarSyntax(`line ${line}: ${problem}`);
  }
}
