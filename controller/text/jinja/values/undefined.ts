import { JinjaError, type PythonException } from './template-error.ts';
import { PythonObject, typeName, type Value } from './value.ts';

/** What a name or a key stands for that is not there: it prints nothing, is false and empty, and refuses all else. */
export class Undefined extends PythonObject {
  readonly type = 'Undefined';
  readonly #message: string;
  readonly #kind: PythonException;

  constructor(message: string, kind: PythonException = 'UndefinedError') {
    super();
    this.#message = message;
    this.#kind = kind;
  }

  /** Of a variable. */
  static named(name: string): Undefined {
    return new Undefined(`'${name}' is undefined`);
  }

  /** Of a member of an object. */
  static member(of: Value, key: string, quotedKey = true): Undefined {
    const owner = of === null ? 'None' : `${typeName(of)} object`;
    const what = quotedKey ? `'${owner}' has no attribute '${key}'` : `${owner} has no element ${key}`;
    return new Undefined(what);
  }

  repr(): string {
    return 'Undefined';
  }

  override str(): string {
    return '';
  }

  override length(): number {
    return 0;
  }

  override *iterate(): Generator<Value> {}

  override equalTo(other: Value): boolean {
    return other instanceof Undefined;
  }

  override hashKey(): unknown {
    return Undefined;
  }

  fail(): never {
    throw new JinjaError(this.#message, this.#kind);
  }
}

/** Throws where a value is undefined: for operations that need one. */
export function refuseUndefined(...values: readonly Value[]): void {
  for (const value of values) if (value instanceof Undefined) value.fail();
}
