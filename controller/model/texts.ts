/** What a model says of text: beside its weights in a folder, or in its GGUF file. */
import { type OtherTokenizer, readTextFiles, type TextFiles } from './checkpoint/checkpoint-files.ts';
import { isGguf } from './gguf/file.ts';
import { readGgufTextFiles } from './gguf/text-files.ts';
import { mistralTemplate } from './mistral/chat-template.ts';
import { tekkenTokenizer } from './mistral/tekken.ts';

/** Throws an Error that names the file. */
export function readTexts(path: string): Promise<TextFiles> {
  return isGguf(path) ? readGgufTextFiles(path) : readTextFiles(path, ofTekken);
}

function ofTekken(file: Readonly<Record<string, unknown>>): OtherTokenizer {
  const { tokenizer, version } = tekkenTokenizer(file);
  return {
    tokenizer,
    tokenizerConfig: { bos_token: '<s>', eos_token: '</s>', pad_token: '<pad>' },
    chatTemplate: mistralTemplate(version),
  };
}
