import type { TextFiles } from '../checkpoint/checkpoint-files.ts';
import { Problems } from '../config/problems.ts';
import { readGguf } from './file.ts';
import { ggufTokenizer } from './tokenizer.ts';

/** What a GGUF file says of text: it holds no files beside its weights. Throws an Error or a ModelError. */
export async function readGgufTextFiles(path: string): Promise<TextFiles> {
  const problems = new Problems();
  const found = await readGguf(path, problems);
  problems.throwIfAny(path);
  const { tokenizer, config } = ggufTokenizer(found?.metadata ?? new Map());
  return {
    tokenizerPath: null,
    tokenizer,
    tokenizerConfig: config,
    specialTokensMap: {},
    generationConfig: {},
    chatTemplate: null,
    additionalChatTemplates: {},
  };
}
