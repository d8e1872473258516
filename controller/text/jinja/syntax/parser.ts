/** Templates to statements. */
import { type Body, type Branch, type Expression, type Parameter, type Statement, type Target } from './ast.ts';
import { isTupleEnd, parseExpression, parseFilter, parsePrimary, parseTuple } from './expressions.ts';
import { tokenize } from './lexer.ts';
import { TokenStream } from './token-stream.ts';

/** Parses a template. Throws a JinjaError. */
export function parseTemplate(source: string): Body {
  const parser = new Parser(new TokenStream(tokenize(source)));
  return parser.body([]);
}

type Parsed<Kind extends Statement['kind']> = Omit<Extract<Statement, { readonly kind: Kind }>, 'line'>;

class Parser {
  readonly #tokens: TokenStream;
  /** How many loops are around; null: a function's body, out of which no loop can be left. */
  #loops = 0;

  constructor(tokens: TokenStream) {
    this.#tokens = tokens;
  }

  /** Statements up to a block that begins with one of `ends`, which is left to be read; without any, up to the end. */
  body(ends: readonly string[]): Body {
    const tokens = this.#tokens;
    const statements: Statement[] = [];
    for (;;) {
      const token = tokens.next();
      const { line } = token;
      if (token.kind === 'data') statements.push({ kind: 'text', text: token.value, line });
      else if (token.kind === 'variable_begin') {
        statements.push({ kind: 'print', value: parseTuple(tokens), line });
        tokens.expect('variable_end');
      } else if (token.kind === 'block_begin') {
        if (tokens.isName(...ends)) return statements;
        statements.push(...this.#statement(line));
        tokens.expect('block_end');
      } else if (ends.length === 0) return statements;
      else
        tokens.fail(`Unexpected end of template. Jinja was looking for the following tags: '${ends.join("' or '")}'.`);
    }
  }

  #statement(line: number): readonly Statement[] {
    const tokens = this.#tokens;
    if (!tokens.is('name')) tokens.fail('tag name expected');
    const tag = tokens.expectName();
    switch (tag) {
      case 'set':
        return [{ ...this.#set(), line }];
      case 'if':
        return [{ ...this.#if(), line }];
      case 'for':
        return [{ ...this.#for(), line }];
      case 'break':
      case 'continue':
        if (this.#loops === 0) tokens.fail(`'${tag}' outside loop`);
        return [{ kind: tag, line }];
      case 'macro':
        return [{ ...this.#macro(), line }];
      case 'call':
        return [{ ...this.#callBlock(), line }];
      case 'filter':
        return [{ ...this.#filterBlock(), line }];
      case 'with':
        return [{ ...this.#with(), line }];
      case 'generation':
        return [{ kind: 'scope', body: this.#function(() => this.#inner('endgeneration')), line }];
      case 'autoescape':
        parseExpression(tokens);
        return [{ kind: 'scope', body: this.#inner('endautoescape'), line }];
      case 'block':
        return [{ ...this.#block(), line }];
      case 'print':
        return this.#print().map((value) => ({ kind: 'print', value, line }));
      case 'extends':
      case 'include':
      case 'import':
      case 'from':
        return [{ ...this.#load(tag), line }];
      default:
        return tokens.fail(`Encountered unknown tag '${tag}'.`);
    }
  }

  /** The rest of a tag, and the body behind it up to one of `ends`. */
  #until(...ends: readonly string[]): Body {
    this.#tokens.skip(':');
    this.#tokens.expect('block_end');
    return this.body(ends);
  }

  /** The same with the end's own name taken. */
  #inner(end: string): Body {
    const body = this.#until(end);
    this.#tokens.expectName(end);
    return body;
  }

  /** What is parsed here runs as a function: loops around it cannot be left. */
  #function<T>(parse: () => T): T {
    const loops = this.#loops;
    this.#loops = 0;
    const parsed = parse();
    this.#loops = loops;
    return parsed;
  }

  #set(): Parsed<'set'> | Parsed<'set-block'> {
    const target = this.#target({ members: true });
    if (this.#tokens.skip('=')) return { kind: 'set', target, value: parseTuple(this.#tokens) };
    const filter = parseFilter(this.#tokens, null);
    return { kind: 'set-block', target, filter, body: this.#inner('endset') };
  }

  #if(): Parsed<'if'> {
    const branches: Branch[] = [];
    for (;;) {
      const test = parseTuple(this.#tokens, { withCondition: false });
      branches.push({ test, body: this.#until('elif', 'else', 'endif') });
      const end = this.#tokens.expectName();
      if (end === 'else') return { kind: 'if', branches, otherwise: this.#inner('endif') };
      if (end === 'endif') return { kind: 'if', branches, otherwise: [] };
    }
  }

  #for(): Parsed<'for'> {
    const tokens = this.#tokens;
    const target = this.#target({ ends: ['in'] });
    tokens.expectName('in');
    const over = parseTuple(tokens, { withCondition: false, ends: ['recursive'] });
    const test = tokens.skipName('if') ? parseExpression(tokens) : null;
    const recursive = tokens.skipName('recursive');
    this.#loops += 1;
    const body = this.#until('endfor', 'else');
    this.#loops -= 1;
    const otherwise = tokens.expectName() === 'endfor' ? [] : this.#inner('endfor');
    return { kind: 'for', target, over, test, recursive, body, otherwise };
  }

  #macro(): Parsed<'macro'> {
    const name = this.#tokens.expectName();
    const parameters = this.#parameters();
    return { kind: 'macro', name, parameters, body: this.#function(() => this.#inner('endmacro')) };
  }

  #parameters(): readonly Parameter[] {
    const tokens = this.#tokens;
    const parameters: Parameter[] = [];
    tokens.expect('(');
    while (!tokens.is(')')) {
      if (parameters.length > 0) tokens.expect(',');
      const name = tokens.expectName();
      const value = tokens.skip('=') ? parseExpression(tokens) : null;
      if (value === null && parameters.some((before) => before.default !== null)) {
        tokens.fail('non-default argument follows default argument');
      }
      parameters.push({ name, default: value });
    }
    tokens.expect(')');
    return parameters;
  }

  #callBlock(): Parsed<'call-block'> {
    const parameters = this.#tokens.is('(') ? this.#parameters() : [];
    const call = parseExpression(this.#tokens);
    if (call.kind !== 'call') this.#tokens.fail('expected call');
    const body = this.#function(() => this.#inner('endcall'));
    return { kind: 'call-block', call, caller: { name: 'caller', parameters, body } };
  }

  #filterBlock(): Parsed<'filter-block'> {
    const filter = parseFilter(this.#tokens, null, true) ?? this.#tokens.fail('expected a filter');
    return { kind: 'filter-block', filter, body: this.#inner('endfilter') };
  }

  #with(): Parsed<'with'> {
    const tokens = this.#tokens;
    const values: [Target, Expression][] = [];
    while (!tokens.is('block_end')) {
      if (values.length > 0) tokens.expect(',');
      const target = this.#target({});
      tokens.expect('=');
      values.push([target, parseExpression(tokens)]);
    }
    return { kind: 'with', values, body: this.#inner('endwith') };
  }

  #block(): Parsed<'block'> {
    const name = this.#tokens.expectName();
    this.#tokens.skipName('scoped');
    this.#tokens.skipName('required');
    const body = this.#function(() => this.#inner('endblock'));
    this.#tokens.skipName(name);
    return { kind: 'block', body };
  }

  #print(): readonly Expression[] {
    const values: Expression[] = [];
    while (!this.#tokens.is('block_end')) {
      if (values.length > 0) this.#tokens.expect(',');
      values.push(parseExpression(this.#tokens));
    }
    return values;
  }

  /** Other templates, of which there are none: that is an error where the statement runs. */
  #load(tag: string): Parsed<'load'> {
    const template = parseExpression(this.#tokens);
    while (!this.#tokens.is('block_end') && !this.#tokens.is('eof')) this.#tokens.next();
    return { kind: 'load', tag, template };
  }

  /** What is assigned to: a name, names with commas between, or, where `members` says so, a member of a namespace. */
  #target({ members = false, ends = [] as readonly string[] }): Target {
    const tokens = this.#tokens;
    const items: Target[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) tokens.expect(',');
      if (isTupleEnd(tokens, ends)) break;
      items.push(this.#singleTarget(members));
      if (!tokens.is(',')) break;
      isTuple = true;
    }
    const [first] = items;
    if (!isTuple && first !== undefined) return first;
    if (!isTuple) tokens.fail('Expected an expression');
    return { kind: 'targets', items };
  }

  #singleTarget(members: boolean): Target {
    const tokens = this.#tokens;
    if (members && tokens.is('name') && tokens.look().kind === '.') {
      const namespace = tokens.expectName();
      tokens.next();
      return { kind: 'member', namespace, name: tokens.expectName() };
    }
    return this.#asTarget(parsePrimary(tokens));
  }

  #asTarget(expression: Expression): Target {
    if (expression.kind === 'name') return expression;
    if (expression.kind === 'tuple') {
      return { kind: 'targets', items: expression.items.map((item) => this.#asTarget(item)) };
    }
    return this.#tokens.fail(`can't assign to '${expression.kind}'`);
  }
}
