/**
 * What schemas of request bodies are made of. A schema's message is what was expected, as errors say it; absent and null mean
 * the same. What depends on the model, such as its vocabulary, is checked by who reads a body.
 */
import { z } from 'zod';
import type { Range } from '../../../proto/sampling-parameters.ts';
import { invalidField } from '../../errors.ts';

export const flag = z.boolean('a boolean').nullish();
export const text = z.string('a string').nullish();
export const anObject = z.looseObject({}, 'a JSON object');

export function number(range: Range) {
  const expected = `a number ${describe(range)}`;
  return z.number(expected).min(range.min, expected).max(range.max, expected).nullish();
}

export function integer(range: Range) {
  const expected = `an integer ${describe(range)}`;
  return z.int(expected).min(range.min, expected).max(range.max, expected).nullish();
}

/** An array. Its length is checked before its entries, so that a long one is no work. */
export function list<Item extends z.ZodType>(item: Item, most: number, expected: Expected = 'an array') {
  const tooLong = `at most ${most} entries`;
  return z
    .unknown()
    .check(({ value, issues }) => {
      if (Array.isArray(value) && value.length > most) issues.push({ code: 'custom', message: tooLong, input: value });
    })
    .pipe(z.array(item, { error: expected }).max(most, tooLong));
}

type Expected = string | ((issue: { readonly input?: unknown }) => string);

const tokenIdList = { type: 'array', items: { type: 'integer', minimum: 0 } } as const;

/** Token ids, which `checkTokenIds` checks: there may be very many. */
export function tokenIds(most: number) {
  return z
    .custom<readonly unknown[]>((value) => Array.isArray(value), 'an array')
    .check(z.maxLength(most, `at most ${most} entries`))
    .meta({ ...tokenIdList, maxItems: most })
    .nullish();
}

/** Refuses a feature by name, unless the field has a value that switches it off. */
export function refused(reason: string, ...off: readonly unknown[]) {
  return z
    .unknown()
    .check(({ value, issues }) => {
      const none = value === null || off.includes(value) || (Array.isArray(value) && value.length === 0);
      if (!none) issues.push({ code: 'custom', message: reason, input: value, params: unsupported });
    })
    .optional()
    .meta({ enum: [...off, null], description: `Refused: ${reason}.` });
}

/** Marks an issue as one of something that is not supported; its message is the reason then. */
export const unsupported = { unsupported: true } as const;

/** Checks integers in [0, below); `path` names the array. */
export function checkTokenIds(ids: readonly unknown[], path: string, below: number): readonly number[] {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= below) {
      throw invalidField(`${path}[${i}]`, id, `a token id from 0 to ${below - 1}`);
    }
  }
  return ids as readonly number[];
}

export function inRange(value: number, { min, max }: Range): boolean {
  return value >= min && value <= max;
}

export function describe({ min, max }: Range): string {
  return `of at least ${min} and at most ${max}`;
}
