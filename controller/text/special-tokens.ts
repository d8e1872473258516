/**
 * The special tokens of a tokenizer: which ids are special, and the names under which chat templates know them.
 */

import { type TextFiles } from '../model/checkpoint/checkpoint-files.ts';
import { isObject } from '../model/config/json.ts';

export interface SpecialTokens {
  readonly ids: ReadonlySet<number>;
  /** bos_token, eos_token, … and their spelling. */
  readonly names: Readonly<Record<string, string>>;
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

const roles = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;

/** Tokens that tokenizer.json lists beside its vocabulary. */
export function addedTokens(files: TextFiles): readonly AddedToken[] {
  const list = files.tokenizer['added_tokens'];
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) throw new Error('tokenizer.json: added_tokens: expected an array');
  return list.map((token: unknown, i) => {
    if (!isObject(token) || !Number.isInteger(token['id']) || typeof token['content'] !== 'string') {
      throw new Error(`tokenizer.json: added_tokens[${i}]: expected an object with id and content`);
    }
    return { id: token['id'] as number, content: token['content'], special: token['special'] === true };
  });
}

export function readSpecialTokens(files: TextFiles, idOf: (token: string) => number | undefined): SpecialTokens {
  const ids = new Set(addedTokens(files).flatMap((token) => (token.special ? [token.id] : [])));
  const configured = files.tokenizerConfig['added_tokens_decoder'];
  for (const [id, token] of Object.entries(isObject(configured) ? configured : {})) {
    if (isObject(token) && token['special'] === true) ids.add(Number(id));
  }
  const names: Record<string, string> = {};
  for (const role of roles) {
    const spelling = tokenText(files.tokenizerConfig[role]) ?? tokenText(files.specialTokensMap[role]);
    if (spelling === null) continue;
    names[role] = spelling;
    const id = idOf(spelling);
    if (id !== undefined) ids.add(id);
  }
  const additional =
    files.tokenizerConfig['additional_special_tokens'] ?? files.specialTokensMap['additional_special_tokens'];
  for (const token of Array.isArray(additional) ? additional : []) {
    const id = idOf(tokenText(token) ?? '');
    if (id !== undefined) ids.add(id);
  }
  return { ids, names };
}

/** Special tokens by their texts. */
export function specialTexts(files: TextFiles, { ids }: SpecialTokens): ReadonlyMap<string, number> {
  const special = addedTokens(files).filter(({ id, content }) => content !== '' && ids.has(id));
  return new Map(special.map(({ id, content }) => [content, id]));
}

/** Those of which marks are made, such as `<|tool_call|>`. */
export function specialTokensIn(marks: readonly string[], special: ReadonlyMap<string, number>): ReadonlySet<number> {
  const made = [...special].filter(([text]) => text.trim() !== '' && marks.some((mark) => mark.includes(text)));
  return new Set(made.map(([, id]) => id));
}

/** A token is spelled as a string, or as an object with `content`. */
export function tokenText(token: unknown): string | null {
  const text = isObject(token) ? token['content'] : token;
  return typeof text === 'string' && text !== '' ? text : null;
}
