/** Python's operators. */

import type { BinaryOperator } from '../syntax/ast.ts';
import { Tuple } from '../values/containers.ts';
import { isNumeric, numeric } from '../values/equality.ts';
import { JinjaError, typeError } from '../values/template-error.ts';
import { refuseUndefined } from '../values/undefined.ts';
import { isList, typeName, type Value } from '../values/value.ts';
import { formatPercent } from './percent-format.ts';

export function binary(operator: BinaryOperator, left: Value, right: Value): Value {
  if (operator === '%' && typeof left === 'string') return formatPercent(left, right);
  refuseUndefined(left, right);
  if (isNumeric(left) && isNumeric(right)) return calculate(operator, numeric(left), numeric(right));
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') return left + right;
    if (isList(left) && isList(right)) return [...left, ...right];
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
    if (typeof left === 'string') throw typeError(`can only concatenate str (not "${typeName(right)}") to str`);
    if (isList(left)) throw typeError(`can only concatenate list (not "${typeName(right)}") to list`);
  }
  if (operator === '*') {
    const repeated = repeat(left, right) ?? repeat(right, left);
    if (repeated !== null) return repeated;
  }
  const shown = operator === '**' ? '** or pow()' : operator;
  throw typeError(`unsupported operand type(s) for ${shown}: '${typeName(left)}' and '${typeName(right)}'`);
}

/** A sequence several times; null for other values. */
function repeat(value: Value, times: Value): Value | null {
  if (typeof times !== 'bigint' && typeof times !== 'boolean') return null;
  const count = Math.max(0, Number(times));
  if (typeof value === 'string') return value.repeat(count);
  const items = isList(value) ? value : value instanceof Tuple ? value.items : null;
  if (items === null) return null;
  if (items.length * count > 2 ** 28) throw new JinjaError('the list would be too long', 'OverflowError');
  const repeated = Array.from({ length: count }, () => items).flat();
  return isList(value) ? repeated : new Tuple(repeated);
}

function calculate(operator: BinaryOperator, left: bigint | number, right: bigint | number): Value {
  if (Number(right) === 0 && ['/', '//', '%'].includes(operator)) {
    throw new JinjaError('division by zero', 'ZeroDivisionError');
  }
  if (typeof left === 'bigint' && typeof right === 'bigint' && operator !== '/') {
    return operator === '**' && right < 0n ? Number(left) ** Number(right) : calculateInts(operator, left, right);
  }
  const [x, y] = [Number(left), Number(right)];
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      return x / y;
    case '//':
      return floatFloor(x, y);
    case '%':
      return floatModulo(x, y);
    case '**':
      return realPower(x, y);
  }
}

function calculateInts(operator: Exclude<BinaryOperator, '/'>, left: bigint, right: bigint): bigint {
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '//':
      return (left - intModulo(left, right)) / right;
    case '%':
      return intModulo(left, right);
    case '**':
      return left ** right;
  }
}

/** The remainder has the sign of the divisor. */
function intModulo(left: bigint, right: bigint): bigint {
  const rest = left % right;
  return rest !== 0n && rest < 0n !== right < 0n ? rest + right : rest;
}

function floatModulo(left: number, right: number): number {
  const rest = left % right;
  if (rest === 0) return right < 0 ? -0 : 0;
  return rest < 0 !== right < 0 ? rest + right : rest;
}

/** The quotient without its remainder: rounding the quotient down may be one off. */
function floatFloor(left: number, right: number): number {
  const quotient = (left - floatModulo(left, right)) / right;
  if (quotient !== 0) return Math.round(quotient);
  return left / right < 0 ? -0 : 0;
}

function realPower(base: number, exponent: number): number {
  const power = base ** exponent;
  if (Number.isNaN(power) && !Number.isNaN(base) && !Number.isNaN(exponent))
    throw typeError('complex numbers are not supported');
  return power;
}

export function negate(value: Value, operator: '+' | '-'): Value {
  refuseUndefined(value);
  if (!isNumeric(value)) throw typeError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const number = numeric(value);
  return operator === '-' ? -number : number;
}
