/** tokenizer.json from tekken.json: tokens as bytes by rank, behind the special ones. */

import { isObject } from '../config/json.ts';
import { quote } from '../config/problems.ts';
import { mergesByScore } from '../gguf/sentence-pieces.ts';

type Json = Readonly<Record<string, unknown>>;

/** Special tokens of files that do not list them. */
const usualSpecial = [
  '<unk>',
  '<s>',
  '</s>',
  '[INST]',
  '[/INST]',
  '[AVAILABLE_TOOLS]',
  '[/AVAILABLE_TOOLS]',
  '[TOOL_RESULTS]',
  '[/TOOL_RESULTS]',
  '[TOOL_CALLS]',
  '[IMG]',
  '<pad>',
  '[IMG_BREAK]',
  '[IMG_END]',
  '[PREFIX]',
  '[MIDDLE]',
  '[SUFFIX]',
  '[SYSTEM_PROMPT]',
  '[/SYSTEM_PROMPT]',
  '[TOOL_CONTENT]',
];

export interface Tekken {
  readonly tokenizer: Record<string, unknown>;
  /** Of the format of conversations, such as 7. */
  readonly version: number;
}

/** Throws an Error that names the key. */
export function tekkenTokenizer(file: Json): Tekken {
  const config = isObject(file['config']) ? file['config'] : {};
  const { pattern, default_vocab_size: size, default_num_special_tokens: reserved } = config;
  const version = Number(/^v(\d+)/.exec(String(config['version']))?.[1]);
  if (typeof pattern !== 'string' || typeof size !== 'number' || typeof reserved !== 'number' || !(version >= 3)) {
    throw new Error(
      `tekken.json: config is ${quote(config)}; expected pattern, default_vocab_size, default_num_special_tokens, and a version from "v3" on`,
    );
  }
  const special = specialTokens(file['special_tokens'], reserved);
  const pieces = piecesOf(file['vocab'], size - reserved);
  const [bos = ''] = special.filter((token) => token === '<s>');
  return {
    version,
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: special.map((content, id) => addedToken(id, content)),
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
          { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
        ],
      },
      decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true },
      post_processor: beginning(bos, special.indexOf(bos)),
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: true,
        vocab: Object.fromEntries([...special, ...pieces].map((token, id) => [token, id])),
        // Whatever makes a token is merged in the order of the tokens that it makes.
        merges: mergesByScore(
          pieces,
          pieces.map((_, rank) => -rank),
        ),
      },
    },
  };
}

function specialTokens(given: unknown, count: number): readonly string[] {
  const listed = Array.isArray(given)
    ? given.filter(isObject).map((token) => String(token['token_str']))
    : usualSpecial;
  return Array.from({ length: count }, (_, id) => listed[id] ?? `<SPECIAL_${id}>`);
}

/** Tokens as byte-level BPE writes them. */
function piecesOf(vocabulary: unknown, count: number): readonly string[] {
  if (!Array.isArray(vocabulary) || vocabulary.length < count)
    throw new Error(
      `tekken.json: vocab has ${Array.isArray(vocabulary) ? vocabulary.length : 'no'} tokens; expected ${count}`,
    );
  return vocabulary.slice(0, count).map((token: unknown, rank) => {
    const { rank: given, token_bytes: bytes } = isObject(token) ? token : {};
    if (given !== rank || typeof bytes !== 'string')
      throw new Error(`tekken.json: vocab[${rank}] is ${quote(token)}; expected rank ${rank} and token_bytes`);
    return Array.from(Buffer.from(bytes, 'base64'), (byte) => characters[byte]).join('');
  });
}

/** GPT-2's characters of bytes: those that print stand for themselves, the others follow 255. */
const characters: readonly string[] = (() => {
  const prints = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(prints(byte) ? byte : next++));
})();

function addedToken(id: number, content: string) {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

function beginning(token: string, id: number) {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  return {
    type: 'TemplateProcessing',
    single: [special, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [special, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
