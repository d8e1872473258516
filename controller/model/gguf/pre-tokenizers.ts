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
  qwen2: { ...qwen2, composed: true },
  qwen35: { splits: [marked], composed: true },
  'deepseek-r1-qwen': { ...qwen2, composed: true },
  hunyuan: qwen2,
  'solar-open': qwen2,
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3,
  dbrx: threeDigits,
  'chatglm-bpe': threeDigits,
  glm4,
  glm5: glm4,
  'gpt-4o': o200k,
  llama4: o200k,
  'minimax-m2': o200k,
  tekken: { splits: [cased('', '\\p{N}')], wholePieces: true, beginning: true },
  'seed-coder': { splits: [code] },
  'deepseek-v3': { splits: ['\\p{N}{1,3}', '[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+', punctuated] },
  starcoder: gpt2Digits,
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
