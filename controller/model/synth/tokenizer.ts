/**
 * A byte-level tokenizer of any size: the 256 bytes, three specials of ChatML, then words that text never encodes to but
 * that every generated id decodes to.
 */

export const endOfText = 256;
export const endOfMessage = 258;

const specials = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
const firstWord = 256 + specials.length;

const chatTemplate =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** tokenizer.json of a vocabulary of `size` tokens. */
export function tokenizerJson(size: number): string {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true };
  const tokens = [...byteCharacters().sort(), ...specials];
  for (let id = firstWord; id < size; id++) tokens.push(word(id - firstWord));
  const ofSpecials = new Set(specials);
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, i) => ({
      id: 256 + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(
        tokens.map((token, id) => [token, id]).filter(([token]) => !ofSpecials.has(String(token))),
      ),
      merges: [],
    },
  });
}

/** tokenizer_config.json for sequences of up to `maxLength` tokens. */
export function tokenizerConfigJson(maxLength: number): string {
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: null,
    eos_token: '<|im_end|>',
    pad_token: '<|endoftext|>',
    model_max_length: maxLength,
    chat_template: chatTemplate,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** The printable characters that stand for bytes 0 to 255 in byte-level vocabularies. */
function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : next++));
}

function isPrintable(byte: number): boolean {
  return (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
}

/** Word `index`: a space (written Ġ) and at least three letters, all different. */
function word(index: number): string {
  let letters = '';
  for (let rest = index; rest > 0 || letters.length < 3; rest = Math.floor(rest / 26)) {
    letters = String.fromCodePoint(97 + (rest % 26)) + letters;
  }
  return `Ġ${letters}`;
}
