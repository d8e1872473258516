import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import type { JsonObject, TextFiles } from '../../../../controller/model/checkpoint/checkpoint-files.ts';
import { packageRoot } from '../../../../proto/messages.ts';

/** The library's tokenizer, as a reference. */
export interface ReferenceTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
}

export function referenceTokenizer(files: TextFiles): ReferenceTokenizer {
  return new HuggingFaceTokenizer(files.tokenizer, files.tokenizerConfig) as ReferenceTokenizer;
}

export function textFiles(tokenizer: JsonObject, config: JsonObject = {}): TextFiles {
  return {
    tokenizerPath: 'tokenizer.json',
    tokenizer,
    tokenizerConfig: config,
    specialTokensMap: {},
    generationConfig: {},
    chatTemplate: null,
    additionalChatTemplates: {},
  };
}

/** A byte-level vocabulary with merges and special tokens: that of the golden checkpoints. */
export function byteLevelFiles(): TextFiles {
  const directory = join(packageRoot, 'test', 'fixtures', 'golden', 'qwen3_moe');
  const read = (name: string) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as JsonObject;
  return textFiles(read('tokenizer.json'), read('tokenizer_config.json'));
}

function specialToken(content: string, id: number): object {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

/** A SentencePiece-style vocabulary as Llama 2 has it: "▁" for spaces, byte fallback, BOS, a leading space taken off. */
export function sentencePieceFiles(): TextFiles {
  const specials = ['<unk>', '<s>', '</s>'];
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
  const words = [
    '▁',
    't',
    'h',
    'e',
    'c',
    'a',
    'o',
    'w',
    'ö',
    '日',
    'th',
    '▁th',
    '▁the',
    'ca',
    '▁ca',
    '▁cat',
    'wo',
    '▁▁',
  ];
  const merges = ['t h', '▁ th', '▁th e', 'c a', '▁ ca', '▁ca t', 'w o', '▁ ▁'];
  const vocab = Object.fromEntries([...specials, ...bytes, ...words].map((token, id) => [token, id]));
  const tokenizer = {
    version: '1.0',
    added_tokens: specials.map(specialToken),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: { type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true, vocab, merges },
  };
  return textFiles(tokenizer, { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' });
}
