/**
 * A checkpoint's tokenizer: text to token ids by Hugging Face's library, token ids to text by our own table.
 */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { ServiceError } from '../errors.ts';
import { type TextFiles } from '../model/checkpoint/checkpoint-files.ts';
import { isObject } from '../model/config/json.ts';
import { addedTokens, readSpecialTokens, type SpecialTokens } from './special-tokens.ts';
import { compileTokenTable, type TokenTable } from './token-table.ts';

export interface Tokenizer {
  readonly table: TokenTable;
  readonly special: SpecialTokens;
  /** The id of a token as the vocabulary spells it. */
  idOf(token: string): number | undefined;
  /** No token stands for more UTF-16 units of text than this, so n tokens never hold more than n times as many. */
  readonly maxCharactersPerToken: number;
  /** Token ids of a text; with `addSpecialTokens`, as tokenizer.json's post-processor frames them. */
  encode(text: string, addSpecialTokens: boolean): number[];
}

/** The part of the library's class that is used; its own declarations do not resolve under Node's rules. */
interface Encoder {
  encode(text: string, options: { readonly add_special_tokens: boolean }): { readonly ids: (number | undefined)[] };
  token_to_id(token: string): number | undefined;
}

/** Makes the tokenizer. Errors name the file and the part that is not supported. */
export function createTokenizer(files: TextFiles): Tokenizer {
  const encoder = loadEncoder(files);
  const added = addedTokens(files);
  const special = readSpecialTokens(files, (token) => encoder.token_to_id(token));
  const vocabulary = readVocabulary(files);
  for (const token of added) vocabulary[token.id] = token.content;
  const table = compileTokenTable({
    decoder: files.tokenizer['decoder'],
    vocabulary,
    addedIds: new Set(added.map((token) => token.id)),
    specialIds: special.ids,
  });
  return {
    table,
    special,
    idOf: (token) => encoder.token_to_id(token),
    maxCharactersPerToken: vocabulary.reduce((longest, token) => Math.max(longest, token?.length ?? 0), 1),
    encode(text, addSpecialTokens) {
      return checkedIds(encoder.encode(text, { add_special_tokens: addSpecialTokens }).ids);
    },
  };
}

/** Refuses text that the vocabulary has no tokens for. */
export function checkedIds(ids: readonly (number | undefined)[]): number[] {
  if (ids.includes(undefined)) {
    throw new ServiceError('INVALID_REQUEST', 'the text holds characters that the vocabulary has no tokens for');
  }
  return ids as number[];
}

function loadEncoder(files: TextFiles): Encoder {
  try {
    return new HuggingFaceTokenizer(files.tokenizer, files.tokenizerConfig) as Encoder;
  } catch (error) {
    throw new Error(`tokenizer.json: ${(error as Error).message}`, { cause: error });
  }
}

/** Tokens by id, in the vocabulary's own spelling. */
function readVocabulary(files: TextFiles): (string | undefined)[] {
  const model = files.tokenizer['model'];
  const vocab = isObject(model) ? model['vocab'] : undefined;
  const tokens: (string | undefined)[] = [];
  if (Array.isArray(vocab)) {
    for (const [i, entry] of vocab.entries()) tokens[i] = String((entry as unknown[])[0]);
  } else if (isObject(vocab)) {
    for (const [token, id] of Object.entries(vocab)) tokens[Number(id)] = token;
  } else {
    throw new Error('tokenizer.json: model.vocab: expected an object or an array');
  }
  return tokens;
}
