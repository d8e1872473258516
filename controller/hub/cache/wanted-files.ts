/** Which of a repository's files serving it needs. */
import { basename } from 'node:path';

export const singleWeights = 'model.safetensors';
export const weightsIndex = 'model.safetensors.index.json';

/** Configuration, tokenizer and chat templates. Other tools read some of them that Conclave does not. */
const texts: ReadonlySet<string> = new Set([
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
  'chat_template.json',
]);
const furtherTemplate = /^additional_chat_templates\/[\w.-]+\.jinja$/;

/** Everything but the weights, and the index that names those. */
export function wantedTexts(paths: Iterable<string>): readonly string[] {
  const all = [...paths];
  const index = all.includes(singleWeights) ? [] : [weightsIndex];
  return all.filter((path) => texts.has(path) || furtherTemplate.test(path) || index.includes(path));
}

/** What a repository has instead of weights that can be served, for an error. */
export function otherWeights(paths: Iterable<string>): readonly string[] {
  return [...paths].filter((path) => /\.(safetensors|bin|gguf|pth?|msgpack|h5)$/.test(basename(path))).sort();
}
