/** tokenizer.json, from what a GGUF file says of its tokenizer. */
import { quote } from '../config/problems.ts';
import type { GgufValue } from './container.ts';
import { type PreTokenizerParts, preTokenizer, preTokenizerNames } from './pre-tokenizers.ts';
import { mergesByScore, sentencePieceParts } from './sentence-pieces.ts';

type Json = Record<string, unknown>;

/** Types of tokens, by llama.cpp's numbers. */
const control = 3;
const userDefined = 4;

/** Throws an Error that names the key. */
export function ggufTokenizer(metadata: ReadonlyMap<string, GgufValue>): { tokenizer: Json; config: Json } {
  const get = (key: string) => metadata.get(`tokenizer.ggml.${key}`);
  const model = get('model');
  if (model !== 'gpt2' && model !== 'llama' && model !== 'gemma4') {
    throw new Error(`tokenizer.ggml.model is ${quote(model ?? null)}; supported: "gpt2", "llama", "gemma4"`);
  }
  const tokens = texts(get('tokens'), 'tokens');
  const types = numbers(get('token_type'));
  const added = tokens.flatMap((content, id) =>
    types[id] === control || types[id] === userDefined ? [addedToken(id, content, types[id] === control)] : [],
  );
  const pre = model === 'gpt2' ? findPreTokenizer(get('pre')) : null;
  const spaceFirst = model === 'llama' && get('add_space_prefix') !== false;
  const parts = pre ? byteLevelParts(pre) : sentencePieceParts(spaceFirst);
  const merges = model === 'llama' ? mergesByScore(tokens, numbers(get('scores'))) : texts(get('merges'), 'merges');
  const unknown = get('unknown_token_id');
  const vocabulary = {
    type: 'BPE',
    dropout: null,
    unk_token: pre === null ? (tokens[typeof unknown === 'number' ? unknown : 0] ?? null) : null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: pre === null,
    byte_fallback: pre === null,
    ignore_merges: pre?.wholePieces ?? false,
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges,
  };
  const special = (key: string) => {
    const id = get(`${key}_token_id`);
    return typeof id === 'number' ? (tokens[id] ?? null) : null;
  };
  const bos = special('bos');
  const addsBos = get('add_bos_token') ?? pre?.beginning ?? true;
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      ...parts,
      post_processor: addsBos === true && bos !== null ? bosFirst(bos, tokens.indexOf(bos)) : null,
      model: vocabulary,
    },
    config: {
      bos_token: bos,
      eos_token: special('eos'),
      pad_token: special('padding'),
      chat_template: metadata.get('tokenizer.chat_template') ?? undefined,
    },
  };
}

function findPreTokenizer(name: GgufValue | undefined): PreTokenizerParts {
  const found = typeof name === 'string' ? preTokenizer(name) : null;
  if (found !== null) return found;
  const supported = preTokenizerNames.map(quote).join(', ');
  throw new Error(`tokenizer.ggml.pre is ${quote(name ?? null)}; supported: ${supported}`);
}

function byteLevelParts({ normalizer, preTokenizer: cut }: PreTokenizerParts): Json {
  const decoder = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true };
  return { normalizer, pre_tokenizer: cut, decoder };
}

function bosFirst(token: string, id: number): Json {
  const sequence = { Sequence: { id: 'A', type_id: 0 } };
  const special = { SpecialToken: { id: token, type_id: 0 } };
  return {
    type: 'TemplateProcessing',
    single: [special, sequence],
    pair: [special, sequence, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

function addedToken(id: number, content: string, special: boolean): Json {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

function texts(value: GgufValue | undefined, key: string): readonly string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new Error(`tokenizer.ggml.${key}: expected an array of strings`);
}

function numbers(value: GgufValue | undefined): readonly number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}
