/**
 * Python's values as templates see them. An int is a bigint and a float a number, so that 1 and 1.0 stay apart and ids of 64
 * bits keep their digits; a list is an array; everything else is a PythonObject.
 */
export type Value = null | boolean | bigint | number | string | readonly Value[] | PythonObject;

/** What of Python's protocols an object takes part in. */
export abstract class PythonObject {
  /** Name of its type. */
  abstract readonly type: string;

  abstract repr(): string;

  str(): string {
    return this.repr();
  }

  truth(): boolean {
    const length = this.length();
    return length === null || length > 0;
  }

  /** Null for what has no length. */
  length(): number | null {
    return null;
  }

  /** Null for what cannot be iterated. */
  iterate(): Iterator<Value> | null {
    return null;
  }

  /** `object.name`; undefined for none. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }

  /** `object[key]`; undefined for none. */
  item(_key: Value): Value | undefined {
    return undefined;
  }

  /** `value in object`; null for what only iterating tells. */
  contains(_value: Value): boolean | null {
    return null;
  }

  equalTo(other: Value): boolean {
    return this === other;
  }

  /** What stands for it as a key of a dictionary: the same for equal objects. Throws for what cannot be a key. */
  hashKey(): unknown {
    return this;
  }
}

/** Arguments by name, in their order. */
export type Named = ReadonlyMap<string, Value>;

/** What can be called. */
export class Callable extends PythonObject {
  readonly type: string;
  readonly name: string;
  readonly call: (positional: readonly Value[], named: Named) => Value;

  constructor(name: string, call: Callable['call'], type = 'builtin_function_or_method') {
    super();
    this.name = name;
    this.call = call;
    this.type = type;
  }

  repr(): string {
    return `<${this.type} ${this.name}>`;
  }
}

/** The name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'float';
    case 'string':
      return 'str';
    default:
      return value instanceof PythonObject ? value.type : 'list';
  }
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}
