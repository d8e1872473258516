import type { Value } from '../values/value.ts';

/** Names and their values, within those of the scope around it. */
export class Scope {
  readonly #names = new Map<string, Value>();
  readonly #around: Scope | null;

  constructor(around: Scope | null, names: Iterable<readonly [string, Value]> = []) {
    this.#around = around;
    for (const [name, value] of names) this.set(name, value);
  }

  /** Undefined for none. */
  get(name: string): Value | undefined {
    const own = this.#names.get(name);
    return own === undefined ? this.#around?.get(name) : own;
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }
}
