import { equals } from '../values/equality.ts';
import { lengthOf } from '../values/protocols.ts';
import { typeError } from '../values/template-error.ts';
import { Undefined } from '../values/undefined.ts';
import { Callable, PythonObject, type Value } from '../values/value.ts';

/** What `loop` is inside a loop. Items are taken one by one, so that what a body does is seen by the loop's own test. */
export class Loop extends Callable {
  readonly #over: Value;
  readonly #depth: number;
  #iterator: Iterator<Value>;
  #index = -1;
  #previous: Value | undefined;
  #current: Value | undefined;
  #next: IteratorResult<Value> | null = null;
  #length: number | null = null;
  #changed: readonly Value[] | null = null;

  /** `again` runs the loop's body for other items, one level deeper. */
  constructor(over: Value, iterator: Iterator<Value>, depth: number, again: ((items: Value) => Value) | null) {
    super('loop', ([items = null]) => {
      if (again === null) throw typeError("The loop must have the 'recursive' marker to be called recursively.");
      return again(items);
    });
    this.#over = over;
    this.#iterator = iterator;
    this.#depth = depth;
  }

  /** The next item; undefined at the end. */
  advance(): Value | undefined {
    const { done, value } = this.#next ?? this.#iterator.next();
    this.#next = null;
    if (done === true) return undefined;
    this.#index += 1;
    this.#previous = this.#current;
    this.#current = value;
    return value;
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case 'index':
        return BigInt(this.#index + 1);
      case 'index0':
        return BigInt(this.#index);
      case 'revindex':
        return BigInt(this.#count() - this.#index);
      case 'revindex0':
        return BigInt(this.#count() - this.#index - 1);
      case 'length':
        return BigInt(this.#count());
      case 'first':
        return this.#index === 0;
      case 'last':
        return this.#peek().done === true;
      case 'depth':
        return BigInt(this.#depth + 1);
      case 'depth0':
        return BigInt(this.#depth);
      case 'previtem':
        return this.#index === 0 ? new Undefined('there is no previous item') : this.#previous;
      case 'nextitem': {
        const { done, value } = this.#peek();
        return done === true ? new Undefined('there is no next item') : value;
      }
      case 'cycle':
        return new Callable(name, (values) => {
          if (values.length === 0) throw typeError('no items for cycling given');
          return values[this.#index % values.length] ?? null;
        });
      case 'changed':
        return new Callable(name, (values) => this.#hasChanged(values));
      default:
        return undefined;
    }
  }

  override repr(): string {
    return `<LoopContext ${this.#index + 1}/${this.#count()}>`;
  }

  #peek(): IteratorResult<Value> {
    this.#next ??= this.#iterator.next();
    return this.#next;
  }

  /** Of what cannot say how long it is, the rest is taken now. */
  #count(): number {
    if (this.#length === null && !(this.#over instanceof PythonObject && this.#over.type === 'generator')) {
      this.#length = lengthOf(this.#over);
    }
    if (this.#length !== null) return this.#length;
    const rest: Value[] = [];
    for (let item = this.#peek(); item.done !== true; item = this.#iterator.next()) rest.push(item.value);
    this.#next = null;
    this.#iterator = rest.values();
    this.#length = this.#index + 1 + rest.length;
    return this.#length;
  }

  #hasChanged(values: readonly Value[]): boolean {
    const before = this.#changed;
    if (
      before !== null &&
      before.length === values.length &&
      values.every((value, at) => equals(value, before[at] ?? null))
    ) {
      return false;
    }
    this.#changed = values;
    return true;
  }
}
