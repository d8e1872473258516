/** What expressions are worth. */

import { library } from '../filters/library.ts';
import { compare } from '../filters/tests.ts';
import { binary, negate } from '../operations/arithmetic.ts';
import { getAttribute, getItem } from '../operations/attributes.ts';
import { sliceOf } from '../operations/subscript.ts';
import type { Arguments, CompareOperator, Expression, Slice } from '../syntax/ast.ts';
import { Dict, Tuple } from '../values/containers.ts';
import { equals } from '../values/equality.ts';
import { call, contains, iterate, truth } from '../values/protocols.ts';
import { str } from '../values/repr.ts';
import { typeError } from '../values/template-error.ts';
import { refuseUndefined, Undefined } from '../values/undefined.ts';
import { type Named, typeName, type Value } from '../values/value.ts';
import type { Scope } from './scope.ts';

export function evaluate(expression: Expression, scope: Scope): Value {
  switch (expression.kind) {
    case 'const':
      return expression.value;
    case 'name':
      return named(scope, expression.name);
    case 'list':
      return expression.items.map((item) => evaluate(item, scope));
    case 'tuple':
      return new Tuple(expression.items.map((item) => evaluate(item, scope)));
    case 'dict':
      return new Dict(expression.items.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)]));
    case 'attribute':
      return getAttribute(evaluate(expression.of, scope), expression.name);
    case 'item':
      return subscript(expression.of, expression.key, scope);
    case 'call': {
      const { positional, keywords } = evaluateArguments(expression.args, scope);
      return call(evaluate(expression.of, scope), positional, keywords);
    }
    case 'filter': {
      if (expression.of === null) throw typeError('a filter without a value');
      return applyFilter(expression, evaluate(expression.of, scope), scope);
    }
    case 'test': {
      const test = library.test(expression.name);
      const value = evaluate(expression.of, scope);
      const { positional, keywords } = evaluateArguments(expression.args, scope);
      return test(value, positional, keywords, library);
    }
    case 'unary': {
      const value = evaluate(expression.of, scope);
      return expression.operator === 'not' ? !truth(value) : negate(value, expression.operator);
    }
    case 'binary':
      return binary(expression.operator, evaluate(expression.left, scope), evaluate(expression.right, scope));
    case 'and': {
      const left = evaluate(expression.left, scope);
      return truth(left) ? evaluate(expression.right, scope) : left;
    }
    case 'or': {
      const left = evaluate(expression.left, scope);
      return truth(left) ? left : evaluate(expression.right, scope);
    }
    case 'concat':
      return expression.parts.reduce((text, part) => text + str(evaluate(part, scope)), '');
    case 'compare':
      return compareAll(expression, scope);
    case 'if':
      if (truth(evaluate(expression.test, scope))) return evaluate(expression.value, scope);
      if (expression.otherwise !== null) return evaluate(expression.otherwise, scope);
      return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
  }
}

function named(scope: Scope, name: string): Value {
  const value = scope.get(name);
  return value === undefined ? Undefined.named(name) : value;
}

/** Applies a chain of filters: those before the last have been taken for its value. */
export function applyFilter(
  filter: Extract<Expression, { readonly kind: 'filter' }>,
  value: Value,
  scope: Scope,
): Value {
  const apply = library.filter(filter.name);
  const { positional, keywords } = evaluateArguments(filter.args, scope);
  return apply(value, positional, keywords, library);
}

/** A chain of filters over what a block rendered. */
export function filterText(filter: Expression, text: string, scope: Scope): Value {
  if (filter.kind !== 'filter') throw typeError('expected a filter');
  return applyFilter(filter, filter.of === null ? text : filterText(filter.of, text, scope), scope);
}

export interface EvaluatedArguments {
  readonly positional: readonly Value[];
  readonly keywords: Named;
}

export function evaluateArguments(args: Arguments, scope: Scope): EvaluatedArguments {
  const positional = args.positional.map((argument) => evaluate(argument, scope));
  const keywords = new Map(args.named.map(([name, value]) => [name, evaluate(value, scope)]));
  if (args.spread !== null) positional.push(...iterate(evaluate(args.spread, scope)));
  if (args.spreadNamed !== null) {
    const more = evaluate(args.spreadNamed, scope);
    if (!(more instanceof Dict)) throw typeError(`argument after ** must be a mapping, not ${typeName(more)}`);
    for (const [name, value] of more.entries()) keywords.set(str(name), value);
  }
  return { positional, keywords };
}

function subscript(of: Expression, key: Expression | Slice, scope: Scope): Value {
  const value = evaluate(of, scope);
  if (key.kind !== 'slice') return getItem(value, evaluate(key, scope));
  refuseUndefined(value);
  const bound = (part: Expression | null): Value => (part === null ? null : evaluate(part, scope));
  const sliced = sliceOf(value, { start: bound(key.start), stop: bound(key.stop), step: bound(key.step) });
  // Python's compiler works out what is constant, and takes another way for it.
  if (sliced === undefined && of.kind === 'const') return Undefined.member(value, 'slice', false);
  if (sliced === undefined) throw typeError(`'${typeName(value)}' object is not subscriptable by a slice`);
  return sliced;
}

/** `a < b < c` is `a < b and b < c`, with b evaluated once. */
function compareAll({ first, rest }: Extract<Expression, { readonly kind: 'compare' }>, scope: Scope): boolean {
  let left = evaluate(first, scope);
  for (const { operator, with: expression } of rest) {
    const right = evaluate(expression, scope);
    if (!holds(operator, left, right)) return false;
    left = right;
  }
  return true;
}

function holds(operator: CompareOperator, left: Value, right: Value): boolean {
  switch (operator) {
    case '==':
      return equals(left, right);
    case '!=':
      return !equals(left, right);
    case 'in':
      return contains(right, left);
    case 'not in':
      return !contains(right, left);
    case '<':
      return compare(left, right, operator) < 0;
    case '<=':
      return compare(left, right, operator) <= 0;
    case '>':
      return compare(left, right, operator) > 0;
    case '>=':
      return compare(left, right, operator) >= 0;
  }
}
