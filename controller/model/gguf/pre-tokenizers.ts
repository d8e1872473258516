/**
 * How text is cut before byte-level BPE encodes the pieces, by the name that converters give it. The expressions are those of
 * the tokenizer.json that each name was given for.
 */

type Json = Record<string, unknown>;

interface PreTokenizer {
  /** Expressions whose matches become pieces, one after the other; null: as GPT-2 did. */
  readonly splits: readonly string[] | null;
  /** Each digit is a piece, before all others. */
  readonly digits?: boolean;
  readonly composed?: boolean;
  /** A piece that is a token is that token, whatever merges say. */
  readonly wholePieces?: boolean;
  /** Sequences begin with the token for that, unless the file says otherwise. */
  readonly beginning?: boolean;
}

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const words = (digits: string) => `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${rest}`;

const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
/** Words end where lower case is followed by upper case. */
const cased = (after: string, digits: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${after}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${after}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const marked = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const code = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const punctuated =
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** The same, but for Chinese characters, which are pieces by themselves. */
const withoutHan = (classes: string) => `(?:(?!\\p{Script=Han})${classes})`;
const kimi = [
  '\\p{Script=Han}+',
  `[^\\r\\n\\p{L}\\p{N}]?${withoutHan(upper)}*${withoutHan(lower)}+${contractions}?`,
  `[^\\r\\n\\p{L}\\p{N}]?${withoutHan(upper)}+${withoutHan(lower)}*${contractions}?`,
  '\\p{N}{1,3}',
  rest,
].join('|');
/** Letters that have cases, as DeepSeek's first tokenizer lists them. */
const casedLetters =
  'A-Za-z\\u00b5\\u00c0-\\u00d6\\u00d8-\\u00f6\\u00f8-\\u01ba\\u01bc-\\u01bf\\u01c4-\\u0293\\u0295-\\u02af\\u0370-\\u0373\\u0376\\u0377\\u037b-\\u037d\\u037f\\u0386\\u0388-\\u038a\\u038c\\u038e-\\u03a1\\u03a3-\\u03f5\\u03f7-\\u0481\\u048a-\\u052f\\u0531-\\u0556\\u10a0-\\u10c5\\u13a0-\\u13f5\\u13f8-\\u13fd\\u1c90-\\u1cba\\u1cbd-\\u1cbf\\u1d00-\\u1d2b\\u1d6b-\\u1d77\\u1d79-\\u1d9a\\u1e00-\\u1f15\\u1f18-\\u1f1d\\u1f20-\\u1f45\\u1f48-\\u1f4d\\u1f50-\\u1f57\\u1f59\\u1f5b\\u1f5d\\u1f5f-\\u1f7d\\u1f80-\\u1fb4\\u1fb6-\\u1fbc\\u1fbe\\u1fc2-\\u1fc4\\u1fc6-\\u1fcc\\u1fd0-\\u1fd3\\u1fd6-\\u1fdb\\u1fe0-\\u1fec\\u1ff2-\\u1ff4\\u1ff6-\\u1ffc\\u2102\\u2107\\u210a-\\u2113\\u2115\\u2119-\\u211d\\u2124\\u2126\\u2128\\u212a-\\u212d\\u212f-\\u2134\\u2139\\u213c-\\u213f\\u2145-\\u2149\\u214e\\u2183\\u2184\\u2c00-\\u2c7b\\u2c7e-\\u2ce4\\u2ceb-\\u2cee\\u2cf2\\u2cf3\\ua640-\\ua66d\\ua680-\\ua69b\\ua722-\\ua76f\\ua771-\\ua787\\ua78b-\\ua78e\\uab70-\\uabbf\\ufb00-\\ufb06\\ufb13-\\ufb17\\uff21-\\uff3a\\uff41-\\uff5a\\u{10400}-\\u{1044f}\\u{104b0}-\\u{104d3}\\u{104d8}-\\u{104fb}\\u{10c80}-\\u{10cb2}\\u{10cc0}-\\u{10cf2}\\u{118a0}-\\u{118df}\\u{1e900}-\\u{1e943}';
const eastAsian =
  '[\\u4e00-\\u9fff\\u3400-\\u4dbf\\u8c48-\\ufaff\\u3040-\\u309f\\u30a0-\\u30ff\\uff65-\\uff9f\\u2f00-\\u2fdf\\u0e40-\\u0e7f\\u0e80-\\u0eff\\u1780-\\u17ff\\u1000-\\u109f\\uaa60-\\uaa7f\\ua9e0-\\ua9ff\\uac00-\\ud7af\\u1100-\\u11ff]+';
const chinese = '[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+';
/** Digits by threes from the right. */
const thousands = '\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))';
const syllables = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+`;

const deepseekV3: PreTokenizer = {
  splits: ['\\p{N}{1,3}', '[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+', punctuated],
};
const gpt2: PreTokenizer = { splits: null };
const gpt2Digits: PreTokenizer = { splits: null, digits: true };
const threeDigits: PreTokenizer = { splits: [words('\\p{N}{1,3}')] };
const llama3: PreTokenizer = { ...threeDigits, wholePieces: true, beginning: true };
const glm4: PreTokenizer = { ...threeDigits, wholePieces: true };
const qwen2: PreTokenizer = { splits: [words('\\p{N}')] };
const o200k: PreTokenizer = { splits: [cased(`${contractions}?`, '\\p{N}{1,3}')] };

const preTokenizers: Readonly<Record<string, PreTokenizer>> = {
  'gpt-2': gpt2,
  olmo: gpt2,
  gigachat: gpt2,
  'granite-docling': gpt2,
  qwen2: { ...qwen2, composed: true },
  qwen35: { splits: [marked], composed: true },
  'deepseek-r1-qwen': { ...qwen2, composed: true },
  hunyuan: qwen2,
  'solar-open': qwen2,
  'grok-2': qwen2,
  laguna: { splits: ['[^\\n]+|[\\n]+', words('\\p{N}')] },
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3,
  falcon3: llama3,
  pixtral: llama3,
  lfm2: llama3,
  dbrx: threeDigits,
  'chatglm-bpe': threeDigits,
  glm4,
  glm5: glm4,
  'gpt-4o': o200k,
  llama4: o200k,
  kanana2: o200k,
  cohere2moe: { splits: ['\\d{1,3}(?=(?:\\d{3})*\\b)', cased(`${contractions}?`, '\\p{N}{1,3}')] },
  'minimax-m2': o200k,
  tekken: { splits: [cased('', '\\p{N}')], wholePieces: true, beginning: true },
  'seed-coder': { splits: [code] },
  'kimi-k2': { splits: [kimi], wholePieces: true },
  'exaone-moe': { splits: [syllables] },
  afmoe: { splits: [thousands, eastAsian, punctuated] },
  'deepseek-llm': {
    splits: [
      '[\\r\\n]',
      `\\s?[${casedLetters}]+`,
      '\\s?[!-/:-~\\uff01-\\uff0f\\uff1a-\\uff5e\\u2018-\\u201f\\u3000-\\u3002]+',
      '\\s+$',
      chinese,
    ],
    digits: true,
  },
  'deepseek-coder': { splits: ['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', chinese], digits: true },
  'joyai-llm': deepseekV3,
  'deepseek-v3': deepseekV3,
  starcoder: gpt2Digits,
  exaone: gpt2Digits,
  refact: gpt2Digits,
  smollm: gpt2Digits,
  'command-r': gpt2Digits,
};

/** Names that are known. */
export const preTokenizerNames: readonly string[] = Object.keys(preTokenizers);

/** Parts of tokenizer.json, and of its model. */
export interface PreTokenizerParts extends Required<Pick<PreTokenizer, 'wholePieces' | 'beginning'>> {
  readonly normalizer: Json | null;
  readonly preTokenizer: Json;
}

/** Null where the name is not known. */
export function preTokenizer(name: string): PreTokenizerParts | null {
  const found = Object.hasOwn(preTokenizers, name) ? preTokenizers[name] : undefined;
  if (found === undefined) return null;
  const { splits, digits = false, composed = false, wholePieces = false, beginning = false } = found;
  const stages: Json[] = [
    ...(digits ? [{ type: 'Digits', individual_digits: true }] : []),
    ...(splits ?? []).map((pattern) => ({
      type: 'Split',
      pattern: { Regex: pattern },
      behavior: 'Isolated',
      invert: false,
    })),
    { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: splits === null },
  ];
  return {
    wholePieces,
    beginning,
    normalizer: composed ? { type: 'NFC' } : null,
    preTokenizer: stages.length === 1 ? (stages[0] ?? {}) : { type: 'Sequence', pretokenizers: stages },
  };
}
