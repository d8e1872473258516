/**
 * Prompts of a request as token ids, and how many tokens may follow them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { invalidField, ServiceError } from '../../errors.ts';
import type { Served } from '../../gateway/inference.ts';
import { checkTokenIds } from './schema.ts';

/** A prompt, and its text where the client sent text. */
export interface Prompt {
  readonly tokenIds: readonly number[];
  readonly text: string | null;
}

/** Prompts in one request. */
export const maxPrompts = 1024;

const aText = { type: 'string' } as const;
const ids = { type: 'array', items: { type: 'integer', minimum: 0 } } as const;
const several = { type: 'array', items: { anyOf: [aText, ids] }, minItems: 1, maxItems: maxPrompts } as const;

/** A text, token ids, or an array of either; `readPrompts` checks it. */
export const promptField = z.unknown().meta({ anyOf: [aText, ids, several] });

export interface PromptOptions {
  readonly addSpecialTokens: boolean;
  /** Only so many of its last tokens are taken; null: all. */
  readonly lastTokens: number | null;
}

/** `truncate_prompt_tokens`: -1 stands for the context length. */
export function readLastTokens(asked: number | null | undefined, served: Served): number | null {
  if (asked === null || asked === undefined) return null;
  const { maxModelLen } = served.model;
  if (asked === 0 || asked > maxModelLen) {
    throw invalidField(
      'truncate_prompt_tokens',
      asked,
      `1 to ${maxModelLen} tokens, or -1 for as many as the context holds`,
    );
  }
  return asked === -1 ? maxModelLen : asked;
}

/** The prompts of a request; none is empty. */
export async function readPrompts(
  given: unknown,
  options: PromptOptions,
  served: Served,
  signal: AbortSignal,
): Promise<readonly Prompt[]> {
  const expected = 'a text, an array of texts, an array of token ids, or an array of such arrays';
  if (given === null || given === undefined) throw invalidField('prompt', undefined, expected);
  const read = (value: unknown, path: string): Promise<Prompt> => {
    if (typeof value === 'string') return encodePrompt(served, value, options, path, signal);
    if (!Array.isArray(value)) throw invalidField(path, value, expected);
    const last = options.lastTokens === null ? value : value.slice(-options.lastTokens);
    return Promise.resolve({ tokenIds: checkPromptTokens(last, served, path), text: null });
  };
  if (!Array.isArray(given) || typeof given[0] === 'number') return [await read(given, 'prompt')];
  if (given.length === 0 || given.length > maxPrompts) {
    throw invalidField('prompt', given, `1 to ${maxPrompts} prompts`);
  }
  const prompts: Prompt[] = [];
  for (const [i, value] of given.entries()) {
    prompts.push(await read(value, `prompt[${i}]`));
    // Many short texts are as much work as a long one; others get their turn in between.
    await nextTurn();
  }
  return prompts;
}

/** Tokenises a prompt; errors name `path`. */
export async function encodePrompt(
  served: Served,
  text: string,
  options: PromptOptions,
  path: string,
  signal: AbortSignal | null,
): Promise<Prompt> {
  const { addSpecialTokens, lastTokens } = options;
  const most = lastTokens === null ? served.model.maxModelLen : Number.MAX_SAFE_INTEGER;
  let tokenIds: readonly number[];
  try {
    tokenIds = await served.text.encode(text, addSpecialTokens, most, signal);
  } catch (error) {
    if (!(error instanceof ServiceError) || error.field !== null) throw error;
    throw new ServiceError(error.code, `${path}: ${error.message}`, { field: path, cause: error });
  }
  if (lastTokens === null || tokenIds.length <= lastTokens) {
    return { tokenIds: checkPromptLength(tokenIds, served, path), text };
  }
  const first = addSpecialTokens ? await served.text.encode('', true, most, signal) : [];
  return { tokenIds: checkPromptLength(truncate(tokenIds, first, lastTokens), served, path), text: null };
}

/** The last tokens of a prompt; special tokens at its beginning stay, as long as others fit behind them. */
function truncate(ids: readonly number[], special: readonly number[], length: number): readonly number[] {
  let kept = 0;
  while (kept < special.length && special[kept] === ids[kept]) kept++;
  return kept < length ? [...ids.slice(0, kept), ...ids.slice(kept - length)] : ids.slice(-length);
}

export function checkPromptTokens(value: readonly unknown[], served: Served, path: string): readonly number[] {
  const { maxModelLen, vocabSize } = served.model;
  if (value.length > maxModelLen) throw tooLong(path, value.length, maxModelLen);
  return checkPromptLength(checkTokenIds(value, path, vocabSize), served, path);
}

function checkPromptLength(ids: readonly number[], served: Served, path: string): readonly number[] {
  const { maxModelLen, vocabSize } = served.model;
  if (ids.length === 0) throw new ServiceError('INVALID_REQUEST', `${path}: the prompt has no tokens`, { field: path });
  if (ids.length > maxModelLen) throw tooLong(path, ids.length, maxModelLen);
  for (const id of ids) if (id >= vocabSize) throw invalidField(path, id, `token ids below ${vocabSize}`);
  return ids;
}

function tooLong(path: string, tokens: number, maxModelLen: number): ServiceError {
  const message = `${path}: the prompt has ${tokens} tokens, but this model's maximum context length is ${maxModelLen} tokens`;
  return new ServiceError('CONTEXT_LENGTH_EXCEEDED', message, { field: path });
}

/**
 * Tokens to generate: as asked for, `fallback` when nothing was asked for, and never more than the context leaves.
 * Asking for more than it leaves is an error that names `path`.
 */
export function outputTokens(
  promptTokens: number,
  asked: number | null,
  fallback: number,
  served: Served,
  path: string,
): number {
  const { maxModelLen } = served.model;
  const left = maxModelLen - promptTokens;
  if (asked !== null && asked > left) {
    const message =
      `${path}: this model's maximum context length is ${maxModelLen} tokens, but ${promptTokens + asked} were asked for ` +
      `(${promptTokens} in the prompt, ${asked} for the output)`;
    throw new ServiceError('CONTEXT_LENGTH_EXCEEDED', message, { field: path });
  }
  if (asked === null && left === 0) {
    const message = `the prompt has ${promptTokens} tokens, which is the maximum context length: no room for output`;
    throw new ServiceError('CONTEXT_LENGTH_EXCEEDED', message, { field: path });
  }
  return asked ?? Math.min(fallback, left);
}
