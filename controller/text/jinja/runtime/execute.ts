/** What statements do: they write text, and set names. */
import type { Body, ForLoop, MacroDefinition, Statement, Target } from '../syntax/ast.ts';
import { Lazy, Namespace } from '../values/containers.ts';
import { call, iterate, iteratorOf, truth } from '../values/protocols.ts';
import { str } from '../values/repr.ts';
import { JinjaError, typeError, valueError } from '../values/template-error.ts';
import { typeName, type Value } from '../values/value.ts';
import { evaluate, evaluateArguments, filterText } from './evaluate.ts';
import { Loop } from './loop.ts';
import { Macro } from './macro.ts';
import { Scope } from './scope.ts';
import { usedNames } from './used-names.ts';

/** How a body ended: at its end, or in order to leave a loop or its turn. */
type End = 'break' | 'continue' | null;

/** What a body renders in a scope. */
export function render(body: Body, scope: Scope): string {
  const output: string[] = [];
  run(body, scope, output);
  return output.join('');
}

function run(body: Body, scope: Scope, output: string[]): End {
  for (const statement of body) {
    const end = execute(statement, scope, output);
    if (end !== null) return end;
  }
  return null;
}

function execute(statement: Statement, scope: Scope, output: string[]): End {
  switch (statement.kind) {
    case 'text':
      output.push(statement.text);
      return null;
    case 'print':
      output.push(str(evaluate(statement.value, scope)));
      return null;
    case 'set':
      assign(statement.target, evaluate(statement.value, scope), scope);
      return null;
    case 'set-block': {
      const text = render(statement.body, new Scope(scope));
      assign(statement.target, statement.filter === null ? text : filterText(statement.filter, text, scope), scope);
      return null;
    }
    case 'if': {
      const branch = statement.branches.find(({ test }) => truth(evaluate(test, scope)));
      return run(branch?.body ?? statement.otherwise, scope, output);
    }
    case 'for':
      repeat(statement, evaluate(statement.over, scope), { scope, output, depth: 0 });
      return null;
    case 'break':
    case 'continue':
      return statement.kind;
    case 'macro':
      scope.set(statement.name, defineMacro(statement, scope));
      return null;
    case 'call-block':
      output.push(str(callBlock(statement, scope)));
      return null;
    case 'filter-block': {
      const text = render(statement.body, new Scope(scope));
      output.push(str(filterText(statement.filter, text, scope)));
      return null;
    }
    case 'with': {
      const inner = new Scope(scope);
      for (const [target, value] of statement.values) assign(target, evaluate(value, scope), inner);
      return run(statement.body, inner, output);
    }
    case 'scope':
    case 'block':
      return run(statement.body, new Scope(scope), output);
    case 'load':
      throw new JinjaError(`no loader for this environment specified: {% ${statement.tag} %}`, 'TypeError');
  }
}

function defineMacro(definition: MacroDefinition, scope: Scope): Macro {
  return new Macro(definition, scope, usedNames(definition.body), (inner) => render(definition.body, inner));
}

function callBlock({ call: called, caller }: Extract<Statement, { readonly kind: 'call-block' }>, scope: Scope): Value {
  if (called.kind !== 'call') throw typeError('expected call');
  const { positional, keywords } = evaluateArguments(called.args, scope);
  const named = new Map([...keywords, ['caller', defineMacro(caller, scope)]]);
  return call(evaluate(called.of, scope), positional, named);
}

interface LoopPlace {
  readonly scope: Scope;
  readonly output: string[];
  readonly depth: number;
}

function repeat(statement: ForLoop, over: Value, { scope, output, depth }: LoopPlace): void {
  const iterator = iteratorOf(over);
  if (iterator === null) throw typeError(`'${typeName(over)}' object is not iterable`);
  const tested = statement.test === null ? null : new Lazy(passing(statement, iterator, scope));
  const again = (items: Value): Value => {
    const inner: string[] = [];
    repeat(statement, items, { scope, output: inner, depth: depth + 1 });
    return inner.join('');
  };
  const source = tested ?? over;
  const loop = new Loop(source, tested?.iterate() ?? iterator, depth, statement.recursive ? again : null);
  let turns = 0;
  for (let item = loop.advance(); item !== undefined; item = loop.advance()) {
    turns += 1;
    const inner = new Scope(scope, [['loop', loop]]);
    assign(statement.target, item, inner);
    if (run(statement.body, inner, output) === 'break') break;
  }
  if (turns === 0) run(statement.otherwise, new Scope(scope), output);
}

/** The items that pass the loop's own test, each tested when its turn has come. */
function* passing({ test, target }: ForLoop, iterator: Iterator<Value>, scope: Scope): Generator<Value> {
  for (const item of { [Symbol.iterator]: () => iterator }) {
    const inner = new Scope(scope);
    assign(target, item, inner);
    if (test === null || truth(evaluate(test, inner))) yield item;
  }
}

function assign(target: Target, value: Value, scope: Scope): void {
  switch (target.kind) {
    case 'name':
      scope.set(target.name, value);
      return;
    case 'member': {
      const namespace = scope.get(target.namespace);
      if (!(namespace instanceof Namespace)) {
        throw new JinjaError('cannot assign attribute on non-namespace object', 'TemplateRuntimeError');
      }
      namespace.set(target.name, value);
      return;
    }
    case 'targets': {
      const items = [...iterate(value)];
      if (items.length !== target.items.length) {
        const few = items.length < target.items.length;
        throw valueError(
          few
            ? `not enough values to unpack (expected ${target.items.length}, got ${items.length})`
            : `too many values to unpack (expected ${target.items.length})`,
        );
      }
      for (const [index, item] of target.items.entries()) assign(item, items[index] ?? null, scope);
    }
  }
}
