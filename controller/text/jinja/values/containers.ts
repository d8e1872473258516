/** Tuples, dictionaries and what is iterated. */

import { equals, hashKey, sameItems } from './equality.ts';
import { repr } from './repr.ts';
import { typeError, valueError } from './template-error.ts';
import { type Named, PythonObject, type Value } from './value.ts';

export class Tuple extends PythonObject {
  readonly type = 'tuple';
  readonly items: readonly Value[];
  /** Names of the items, for what Python calls a named tuple. */
  readonly #names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[] = []) {
    super();
    this.items = items;
    this.#names = names;
  }

  override length(): number {
    return this.items.length;
  }

  override iterate(): Iterator<Value> {
    return this.items[Symbol.iterator]();
  }

  override attribute(name: string): Value | undefined {
    const index = this.#names.indexOf(name);
    return index < 0 ? undefined : this.items[index];
  }

  override equalTo(other: Value): boolean {
    return other instanceof Tuple && sameItems(this.items, other.items);
  }

  override hashKey(): unknown {
    const keys = this.items.map(hashKey);
    return `\0(${keys.map((key) => (typeof key === 'string' ? JSON.stringify(key) : `${typeof key} ${String(key)}`)).join(',')})`;
  }

  repr(): string {
    return this.items.length === 1 ? `(${repr(this.items[0] ?? null)},)` : `(${this.items.map(repr).join(', ')})`;
  }
}

/** A dictionary keeps the order in which its keys came. */
export class Dict extends PythonObject {
  readonly type = 'dict';
  readonly #entries = new Map<unknown, readonly [Value, Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    super();
    for (const [key, value] of entries) this.set(key, value);
  }

  static named(named: Named): Dict {
    return new Dict(named);
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashKey(key))?.[1];
  }

  has(key: Value): boolean {
    return this.#entries.has(hashKey(key));
  }

  set(key: Value, value: Value): void {
    const hash = hashKey(key);
    this.#entries.set(hash, [this.#entries.get(hash)?.[0] ?? key, value]);
  }

  entries(): Iterable<readonly [Value, Value]> {
    return this.#entries.values();
  }

  keys(): readonly Value[] {
    return [...this.#entries.values()].map(([key]) => key);
  }

  values(): readonly Value[] {
    return [...this.#entries.values()].map(([, value]) => value);
  }

  override length(): number {
    return this.#entries.size;
  }

  override iterate(): Iterator<Value> {
    return this.keys()[Symbol.iterator]();
  }

  override item(key: Value): Value | undefined {
    return isHashable(key) ? this.get(key) : undefined;
  }

  override contains(value: Value): boolean {
    return this.has(value);
  }

  override equalTo(other: Value): boolean {
    if (!(other instanceof Dict) || other.length() !== this.length()) return false;
    for (const [key, value] of this.entries()) {
      const theirs = other.get(key);
      if (theirs === undefined || !equals(value, theirs)) return false;
    }
    return true;
  }

  override hashKey(): never {
    throw typeError("unhashable type: 'dict'");
  }

  repr(): string {
    return `{${[...this.entries()].map(([key, value]) => `${repr(key)}: ${repr(value)}`).join(', ')}}`;
  }
}

export function isHashable(value: Value): boolean {
  try {
    hashKey(value);
    return true;
  } catch {
    return false;
  }
}

/** What `keys()`, `values()` and `items()` give. */
export class View extends PythonObject {
  readonly type: string;
  readonly items: readonly Value[];

  constructor(kind: 'keys' | 'values' | 'items', items: readonly Value[]) {
    super();
    this.type = `dict_${kind}`;
    this.items = items;
  }

  override length(): number {
    return this.items.length;
  }

  override iterate(): Iterator<Value> {
    return this.items[Symbol.iterator]();
  }

  override contains(value: Value): boolean {
    return this.items.some((item) => equals(item, value));
  }

  override equalTo(other: Value): boolean {
    if (this === other) return true;
    const comparable = other instanceof View && ![this.type, other.type].includes('dict_values');
    return comparable && other.length() === this.length() && this.items.every((item) => other.contains(item));
  }

  repr(): string {
    return `${this.type}([${this.items.map(repr).join(', ')}])`;
  }
}

/** What is iterated once, and computed meanwhile. */
export class Lazy extends PythonObject {
  readonly type: string;
  readonly #iterator: Iterator<Value>;

  constructor(iterator: Iterator<Value>, type = 'generator') {
    super();
    this.#iterator = iterator;
    this.type = type;
  }

  override iterate(): Iterator<Value> {
    return this.#iterator;
  }

  repr(): string {
    return `<${this.type} object at 0x0>`;
  }
}

const longestRange = 100_000n;

export class Range extends PythonObject {
  readonly type = 'range';
  readonly #start: bigint;
  readonly #stop: bigint;
  readonly #step: bigint;

  constructor(start: bigint, stop: bigint, step: bigint) {
    super();
    if (step === 0n) throw valueError('range() arg 3 must not be zero');
    [this.#start, this.#stop, this.#step] = [start, stop, step];
    if (this.#count() > longestRange) {
      throw valueError(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${longestRange}).`);
    }
  }

  #count(): bigint {
    const span = this.#step > 0n ? this.#stop - this.#start : this.#start - this.#stop;
    const step = this.#step > 0n ? this.#step : -this.#step;
    return span <= 0n ? 0n : (span + step - 1n) / step;
  }

  override length(): number {
    return Number(this.#count());
  }

  at(index: number): bigint {
    return this.#start + BigInt(index) * this.#step;
  }

  /** Every `by`-th of the items from one position to another. */
  slice(from: number, to: number, by: number): Range {
    return new Range(this.at(from), this.at(to), this.#step * BigInt(by));
  }

  override *iterate(): Generator<Value> {
    const length = this.length();
    for (let index = 0; index < length; index++) yield this.at(index);
  }

  override item(key: Value): Value | undefined {
    if (typeof key !== 'bigint' && typeof key !== 'boolean') return undefined;
    const index = Number(key) < 0 ? Number(key) + this.length() : Number(key);
    return index >= 0 && index < this.length() ? this.at(index) : undefined;
  }

  override equalTo(other: Value): boolean {
    return other instanceof Range && sameItems([...this], [...other]);
  }

  [Symbol.iterator](): Iterator<Value> {
    return this.iterate();
  }

  repr(): string {
    return `range(${this.#start}, ${this.#stop}${this.#step === 1n ? '' : `, ${this.#step}`})`;
  }
}

/** Attributes that templates may set. */
export class Namespace extends PythonObject {
  readonly type = 'TemplateNamespace';
  readonly #members = new Map<string, Value>();

  constructor(members: Iterable<readonly [string, Value]>) {
    super();
    for (const [name, value] of members) this.set(name, value);
  }

  set(name: string, value: Value): void {
    if (name.startsWith('_')) throw typeError(`a namespace has no attributes that start with "_", such as ${name}`);
    this.#members.set(name, value);
  }

  override attribute(name: string): Value | undefined {
    return this.#members.get(name);
  }

  repr(): string {
    return `<Namespace ${Dict.named(this.#members).repr()}>`;
  }
}
