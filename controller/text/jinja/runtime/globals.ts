/** The names that every template has. */

import { formatTime } from '../operations/strftime.ts';
import { Dict, Namespace, Range } from '../values/containers.ts';
import { iterate, iteratorOf } from '../values/protocols.ts';
import { str } from '../values/repr.ts';
import { JinjaError, typeError } from '../values/template-error.ts';
import { Undefined } from '../values/undefined.ts';
import { Callable, type Named, PythonObject, typeName, type Value } from '../values/value.ts';

/** `now`: the time that strftime_now shows. */
export function globals(now: () => Date): readonly (readonly [string, Value])[] {
  const functions: Readonly<Record<string, Callable['call']>> = {
    range: (positional) => {
      const [first = 0n, second, step = 1n] = positional.map(integer);
      return second === undefined ? new Range(0n, first, 1n) : new Range(first, second, step);
    },
    namespace: (positional, named) => new Namespace(pairs(positional, named) as Iterable<[string, Value]>),
    dict: (positional, named) => new Dict(pairs(positional, named)),
    raise_exception: ([message = '']) => {
      throw new JinjaError(str(message));
    },
    strftime_now: ([format = '']) => formatTime(now(), str(format)),
    cycler: (items) => new Cycler(items),
    joiner: ([separator = ', ']) => {
      let used = false;
      return new Callable('joiner', () => {
        const text = used ? separator : '';
        used = true;
        return text;
      });
    },
  };
  return Object.entries(functions).map(([name, run]) => [name, new Callable(name, run)]);
}

function integer(value: Value): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return BigInt(value);
  if (value instanceof Undefined) value.fail();
  throw typeError(`'${typeName(value)}' object cannot be interpreted as an integer`);
}

/** What a dictionary is made of: another one, or pairs, and names. */
function* pairs([from]: readonly Value[], named: Named): Generator<[Value, Value]> {
  if (from instanceof Dict) for (const [key, value] of from.entries()) yield [key, value];
  else if (from !== undefined && iteratorOf(from) !== null) {
    for (const pair of iterate(from)) {
      const [key = null, value = null] = [...iterate(pair)];
      yield [key, value];
    }
  } else if (from !== undefined) throw typeError(`'${typeName(from)}' object is not iterable`);
  yield* named;
}

/** Gives its items in turn. */
class Cycler extends PythonObject {
  readonly type = 'Cycler';
  readonly #items: readonly Value[];
  #at = 0;

  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) throw typeError('at least one item has to be provided');
    this.#items = items;
  }

  override attribute(name: string): Value | undefined {
    const current = this.#items[this.#at] ?? null;
    if (name === 'current') return current;
    if (name === 'reset') {
      return new Callable(name, () => {
        this.#at = 0;
        return null;
      });
    }
    if (name !== 'next') return undefined;
    return new Callable(name, () => {
      const value = this.#items[this.#at] ?? null;
      this.#at = (this.#at + 1) % this.#items.length;
      return value;
    });
  }

  repr(): string {
    return '<Cycler>';
  }
}
