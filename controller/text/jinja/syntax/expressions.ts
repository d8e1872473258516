/** Expressions, from the loosest binding to the tightest. */
import type { Arguments, BinaryOperator, CompareOperator, Comparison, Expression, Slice } from './ast.ts';
import type { TokenStream } from './token-stream.ts';
import { describeToken, type Token } from './tokens.ts';

export function parseExpression(tokens: TokenStream, withCondition = true): Expression {
  return withCondition ? parseCondition(tokens) : parseOr(tokens);
}

/** One expression, or several with commas between: a tuple. `ends` says what else may follow. */
export function parseTuple(
  tokens: TokenStream,
  { withCondition = true, inParentheses = false, ends = [] as readonly string[] } = {},
): Expression {
  const items: Expression[] = [];
  let isTuple = false;
  for (;;) {
    if (items.length > 0) tokens.expect(',');
    if (isTupleEnd(tokens, ends)) break;
    items.push(parseExpression(tokens, withCondition));
    if (!tokens.is(',')) break;
    isTuple = true;
  }
  const [first] = items;
  if (!isTuple && first !== undefined) return first;
  if (!isTuple && !inParentheses) tokens.fail(`Expected an expression, got '${describeToken(tokens.current)}'`);
  return { kind: 'tuple', items };
}

export function isTupleEnd(tokens: TokenStream, ends: readonly string[]): boolean {
  return tokens.is('variable_end') || tokens.is('block_end') || tokens.is(')') || tokens.isName(...ends);
}

function parseCondition(tokens: TokenStream): Expression {
  let value = parseOr(tokens);
  while (tokens.skipName('if')) {
    const test = parseOr(tokens);
    const otherwise = tokens.skipName('else') ? parseCondition(tokens) : null;
    value = { kind: 'if', test, value, otherwise };
  }
  return value;
}

function parseOr(tokens: TokenStream): Expression {
  let left = parseAnd(tokens);
  while (tokens.skipName('or')) left = { kind: 'or', left, right: parseAnd(tokens) };
  return left;
}

function parseAnd(tokens: TokenStream): Expression {
  let left = parseNot(tokens);
  while (tokens.skipName('and')) left = { kind: 'and', left, right: parseNot(tokens) };
  return left;
}

function parseNot(tokens: TokenStream): Expression {
  return tokens.skipName('not') ? { kind: 'unary', operator: 'not', of: parseNot(tokens) } : parseCompare(tokens);
}

const comparisons: ReadonlySet<string> = new Set<CompareOperator>(['==', '!=', '<', '<=', '>', '>=']);

function parseCompare(tokens: TokenStream): Expression {
  const first = parseSum(tokens);
  const rest: Comparison[] = [];
  for (;;) {
    const operator = comparison(tokens);
    if (operator === null) return rest.length === 0 ? first : { kind: 'compare', first, rest };
    rest.push({ operator, with: parseSum(tokens) });
  }
}

/** Takes a comparison operator, where one comes. */
function comparison(tokens: TokenStream): CompareOperator | null {
  const { kind } = tokens.current;
  if (comparisons.has(kind)) return tokens.next().kind as CompareOperator;
  if (tokens.skipName('in')) return 'in';
  const following = tokens.look();
  if (!tokens.isName('not') || following.kind !== 'name' || following.value !== 'in') return null;
  tokens.next();
  tokens.next();
  return 'not in';
}

/** Operators of one strength, from left to right. */
function leftToRight(tokens: TokenStream, operators: readonly BinaryOperator[], inner: typeof parseSum): Expression {
  let left = inner(tokens);
  while ((operators as readonly string[]).includes(tokens.current.kind)) {
    const operator = tokens.next().kind as BinaryOperator;
    left = { kind: 'binary', operator, left, right: inner(tokens) };
  }
  return left;
}

function parseSum(tokens: TokenStream): Expression {
  return leftToRight(tokens, ['+', '-'], parseConcat);
}

function parseConcat(tokens: TokenStream): Expression {
  const first = parseProduct(tokens);
  if (!tokens.is('~')) return first;
  const parts = [first];
  while (tokens.skip('~')) parts.push(parseProduct(tokens));
  return { kind: 'concat', parts };
}

function parseProduct(tokens: TokenStream): Expression {
  return leftToRight(tokens, ['*', '/', '//', '%'], parsePower);
}

function parsePower(tokens: TokenStream): Expression {
  return leftToRight(tokens, ['**'], parseUnary);
}

/** A sign binds tighter than filters and tests, which follow it. */
function parseUnary(tokens: TokenStream): Expression {
  return parseFilters(tokens, parseSigned(tokens));
}

function parseSigned(tokens: TokenStream): Expression {
  for (const operator of ['-', '+'] as const) {
    if (tokens.skip(operator)) return parsePostfix(tokens, { kind: 'unary', operator, of: parseSigned(tokens) });
  }
  return parsePostfix(tokens, parsePrimary(tokens));
}

const constants: Readonly<Record<string, boolean | null>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};

export function parsePrimary(tokens: TokenStream): Expression {
  const token = tokens.current;
  switch (token.kind) {
    case 'name':
      tokens.next();
      if (Object.hasOwn(constants, token.value)) return { kind: 'const', value: constants[token.value] ?? null };
      return { kind: 'name', name: token.value };
    case 'string':
      return { kind: 'const', value: joinedStrings(tokens) };
    case 'integer':
    case 'float':
      tokens.next();
      return { kind: 'const', value: token.value };
    case '(': {
      tokens.next();
      const value = parseTuple(tokens, { inParentheses: true });
      tokens.expect(')');
      return value;
    }
    case '[':
      tokens.next();
      return { kind: 'list', items: listed(tokens, ']', () => parseExpression(tokens)) };
    case '{':
      tokens.next();
      return { kind: 'dict', items: listed(tokens, '}', () => parsePair(tokens)) };
    default:
      return tokens.fail(`unexpected '${describeToken(token)}'`);
  }
}

/** Strings that follow each other are one. */
function joinedStrings(tokens: TokenStream): string {
  let text = '';
  for (let { current } = tokens; current.kind === 'string'; { current } = tokens) {
    text += current.value;
    tokens.next();
  }
  return text;
}

function parsePair(tokens: TokenStream): readonly [Expression, Expression] {
  const key = parseExpression(tokens);
  tokens.expect(':');
  return [key, parseExpression(tokens)];
}

/** Items with commas between, one of which may follow the last. */
function listed<T>(tokens: TokenStream, end: Token['kind'], parse: () => T): readonly T[] {
  const items: T[] = [];
  while (!tokens.is(end)) {
    if (items.length > 0) tokens.expect(',');
    if (tokens.is(end)) break;
    items.push(parse());
  }
  tokens.expect(end);
  return items;
}

export function parsePostfix(tokens: TokenStream, start: Expression): Expression {
  let value = start;
  for (;;) {
    if (tokens.skip('.')) value = parseMember(tokens, value);
    else if (tokens.skip('[')) value = parseSubscript(tokens, value);
    else if (tokens.is('(')) value = { kind: 'call', of: value, args: parseArguments(tokens) };
    else return value;
  }
}

function parseMember(tokens: TokenStream, of: Expression): Expression {
  const token = tokens.next();
  if (token.kind === 'name') return { kind: 'attribute', of, name: token.value };
  if (token.kind !== 'integer') return tokens.fail('expected name or number');
  return { kind: 'item', of, key: { kind: 'const', value: token.value } };
}

function parseSubscript(tokens: TokenStream, of: Expression): Expression {
  const keys: (Expression | Slice)[] = [];
  while (!tokens.is(']')) {
    if (keys.length > 0) tokens.expect(',');
    keys.push(parseKey(tokens));
  }
  tokens.expect(']');
  const [key] = keys;
  if (keys.length === 1 && key !== undefined) return { kind: 'item', of, key };
  if (keys.some((one) => one.kind === 'slice')) tokens.fail('a slice among several keys is not supported');
  return { kind: 'item', of, key: { kind: 'tuple', items: keys as Expression[] } };
}

function parseKey(tokens: TokenStream): Expression | Slice {
  const start = tokens.is(':') ? null : parseExpression(tokens);
  if (!tokens.skip(':')) return start ?? tokens.fail('expected a key');
  const part = (): Expression | null =>
    tokens.is(':') || tokens.is(']') || tokens.is(',') ? null : parseExpression(tokens);
  const stop = part();
  const step = tokens.skip(':') ? part() : null;
  return { kind: 'slice', start, stop, step };
}

export function parseArguments(tokens: TokenStream): Arguments {
  tokens.expect('(');
  const positional: Expression[] = [];
  const named: [string, Expression][] = [];
  let [spread, spreadNamed]: [Expression | null, Expression | null] = [null, null];
  const ensure = (allowed: boolean): void => {
    if (!allowed) tokens.fail('invalid syntax for function call expression');
  };
  for (let first = true; !tokens.is(')'); first = false) {
    if (!first) {
      tokens.expect(',');
      if (tokens.is(')')) break;
    }
    if (tokens.skip('*')) {
      ensure(spread === null && spreadNamed === null);
      spread = parseExpression(tokens);
    } else if (tokens.skip('**')) {
      ensure(spreadNamed === null);
      spreadNamed = parseExpression(tokens);
    } else if (tokens.is('name') && tokens.look().kind === '=') {
      ensure(spreadNamed === null);
      const name = tokens.expectName();
      tokens.expect('=');
      named.push([name, parseExpression(tokens)]);
    } else {
      ensure(spread === null && spreadNamed === null && named.length === 0);
      positional.push(parseExpression(tokens));
    }
  }
  tokens.expect(')');
  return { positional, named, spread, spreadNamed };
}

const noArguments: Arguments = { positional: [], named: [], spread: null, spreadNamed: null };

/** Filters, tests and calls behind a value. */
function parseFilters(tokens: TokenStream, start: Expression): Expression {
  let value = start;
  for (;;) {
    if (tokens.is('|')) value = parseFilter(tokens, value) ?? value;
    else if (tokens.skipName('is')) value = parseTest(tokens, value);
    else if (tokens.is('(')) value = { kind: 'call', of: value, args: parseArguments(tokens) };
    else return value;
  }
}

/** A chain of filters. `started`: the first one has no "|" before it. */
export function parseFilter(tokens: TokenStream, of: Expression | null, started = false): Expression | null {
  let value = of;
  for (let first = started; first || tokens.skip('|'); first = false) {
    const name = dottedName(tokens);
    value = { kind: 'filter', of: value, name, args: tokens.is('(') ? parseArguments(tokens) : noArguments };
  }
  return value;
}

function dottedName(tokens: TokenStream): string {
  let name = tokens.expectName();
  while (tokens.skip('.')) name += `.${tokens.expectName()}`;
  return name;
}

const argumentStarts: ReadonlySet<string> = new Set(['name', 'string', 'integer', 'float', '(', '[', '{']);

function parseTest(tokens: TokenStream, of: Expression): Expression {
  const negated = tokens.skipName('not');
  const name = dottedName(tokens);
  const test: Expression = { kind: 'test', of, name, args: parseTestArguments(tokens) };
  return negated ? { kind: 'unary', operator: 'not', of: test } : test;
}

function parseTestArguments(tokens: TokenStream): Arguments {
  if (tokens.is('(')) return parseArguments(tokens);
  if (!argumentStarts.has(tokens.current.kind) || tokens.isName('else', 'or', 'and')) return noArguments;
  if (tokens.isName('is')) tokens.fail('You cannot chain multiple tests with is');
  return { ...noArguments, positional: [parsePostfix(tokens, parsePrimary(tokens))] };
}
