import { syntaxError } from '../values/template-error.ts';
import { describeToken, type Token } from './tokens.ts';

/** The tokens of a template and a place among them. A name is matched by its kind and its value. */
export class TokenStream {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.look(0);
  }

  look(ahead = 1): Token {
    const last = this.#tokens.length - 1;
    return this.#tokens[Math.min(this.#at + ahead, last)] ?? { kind: 'eof', line: 1 };
  }

  next(): Token {
    const token = this.current;
    this.#at += 1;
    return token;
  }

  is(kind: Token['kind']): boolean {
    return this.current.kind === kind;
  }

  isName(...names: readonly string[]): boolean {
    return this.current.kind === 'name' && names.includes(this.current.value);
  }

  skip(kind: Token['kind']): boolean {
    const found = this.is(kind);
    if (found) this.next();
    return found;
  }

  skipName(name: string): boolean {
    const found = this.isName(name);
    if (found) this.next();
    return found;
  }

  expect(kind: Token['kind']): Token {
    if (this.is(kind)) return this.next();
    return this.fail(`expected token '${kind}', got '${describeToken(this.current)}'`);
  }

  expectName(name?: string): string {
    const { current } = this;
    if (current.kind === 'name' && (name === undefined || current.value === name)) {
      this.next();
      return current.value;
    }
    return this.fail(`expected token '${name ?? 'name'}', got '${describeToken(current)}'`);
  }

  fail(message: string): never {
    throw syntaxError(message, this.current.line);
  }
}
