/**
 * Reads the fields of a JSON request body. Absent and null mean the same. Errors name the field by its path, show what
 * came, and say what was expected.
 */

import type { Range } from '../../../proto/sampling-parameters.ts';
import { invalidField, NumberText, ServiceError, shown, unsupportedField } from '../../errors.ts';
import { type JsonObject } from '../../model/checkpoint/checkpoint-files.ts';
import { isObject } from '../../model/config/json.ts';
import { exactInteger, JsonBody } from './json-body.ts';

/** Integers of 64 bits, signed or not. */
const least64 = -(2n ** 63n);
const most64 = 2n ** 64n - 1n;

export class Fields {
  readonly #body: JsonObject;
  readonly #prefix: string;
  readonly #json: JsonBody | null;

  /** `body`: a JsonBody, or a value as JSON has it. */
  constructor(body: unknown, prefix = '') {
    if (body instanceof JsonBody) {
      const fields = new Fields(body.value, prefix);
      this.#body = fields.#body;
      this.#prefix = prefix;
      this.#json = body;
      return;
    }
    if (!isObject(body)) {
      if (prefix !== '') throw invalidField(prefix.slice(0, -1), body, 'a JSON object');
      throw new ServiceError('INVALID_REQUEST', `the body: expected a JSON object, got ${shown(body)}`);
    }
    this.#body = body;
    this.#prefix = prefix;
    this.#json = null;
  }

  /** Path of a field, for errors. */
  path(name: string): string {
    return this.#prefix + name;
  }

  /** The value as it came; null when absent. */
  raw(name: string): unknown {
    return (Object.hasOwn(this.#body, name) ? this.#body[name] : null) ?? null;
  }

  has(name: string): boolean {
    return this.raw(name) !== null;
  }

  boolean(name: string): boolean | null {
    const value = this.raw(name);
    if (value === null || typeof value === 'boolean') return value;
    throw invalidField(this.path(name), value, 'a boolean');
  }

  string(name: string): string | null {
    const value = this.raw(name);
    if (value === null || typeof value === 'string') return value;
    throw invalidField(this.path(name), value, 'a string');
  }

  number(name: string, range: Range): number | null {
    const value = this.raw(name);
    if (value === null) return null;
    if (typeof value === 'number' && inRange(value, range)) return value;
    throw invalidField(this.path(name), value, `a number ${describe(range)}`);
  }

  integer(name: string, range: Range): number | null {
    const value = this.raw(name);
    if (value === null) return null;
    if (typeof value === 'number' && Number.isInteger(value) && inRange(value, range)) return value;
    throw invalidField(this.path(name), value, `an integer ${describe(range)}`);
  }

  /** An integer from -2^63 to 2^64 - 1, to the last digit. */
  integer64(name: string): bigint | null {
    const value = this.raw(name);
    if (value === null) return null;
    if (Number.isSafeInteger(value)) return BigInt(value as number);
    const text = typeof value === 'number' ? (this.#json?.sentNumber(this.path(name)) ?? String(value)) : null;
    const integer = text === null ? null : exactInteger(text);
    if (integer !== null && integer >= least64 && integer <= most64) return integer;
    const got = text === null ? value : new NumberText(text);
    throw invalidField(this.path(name), got, `an integer from ${least64} to ${most64}`);
  }

  /** The fields of a nested object; null when absent. */
  object(name: string): Fields | null {
    const value = this.raw(name);
    return value === null ? null : new Fields(value, `${this.path(name)}.`);
  }

  jsonObject(name: string): JsonObject | null {
    const value = this.raw(name);
    if (value === null || isObject(value)) return value;
    throw invalidField(this.path(name), value, 'a JSON object');
  }

  array(name: string, maxLength: number): readonly unknown[] | null {
    const value = this.raw(name);
    if (value === null) return null;
    if (!Array.isArray(value)) throw invalidField(this.path(name), value, 'an array');
    if (value.length > maxLength) {
      throw invalidField(this.path(name), value, `at most ${maxLength} entries`);
    }
    return value;
  }

  objects(name: string, maxLength: number): readonly JsonObject[] | null {
    const list = this.array(name, maxLength);
    list?.forEach((item, i) => {
      if (!isObject(item)) throw invalidField(`${this.path(name)}[${i}]`, item, 'a JSON object');
    });
    return list as readonly JsonObject[] | null;
  }

  /** Integers in [0, below). */
  tokenIds(name: string, maxLength: number, below: number): readonly number[] | null {
    const list = this.array(name, maxLength);
    return list === null ? null : checkTokenIds(list, this.path(name), below);
  }

  /** Refuses a feature by name, unless the field has the value that switches it off. */
  refuse(name: string, reason: string, ...off: readonly unknown[]): void {
    const value = this.raw(name);
    if (value === null || off.includes(value)) return;
    if (Array.isArray(value) && value.length === 0) return;
    throw unsupportedField(this.path(name), reason);
  }
}

/** Checks integers in [0, below); `path` names the array. */
export function checkTokenIds(list: readonly unknown[], path: string, below: number): readonly number[] {
  for (let i = 0; i < list.length; i++) {
    const id = list[i];
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= below) {
      throw invalidField(`${path}[${i}]`, id, `a token id from 0 to ${below - 1}`);
    }
  }
  return list as readonly number[];
}

export function inRange(value: number, { min, max }: Range): boolean {
  return value >= min && value <= max;
}

export function describe({ min, max }: Range): string {
  return `of at least ${min} and at most ${max}`;
}
