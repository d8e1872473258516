/**
 * The files beside a checkpoint's weights that say how text becomes tokens and back.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export type JsonObject = Readonly<Record<string, unknown>>;

export interface TextFiles {
  readonly tokenizerPath: string;
  /** tokenizer.json. */
  readonly tokenizer: JsonObject;
  /** tokenizer_config.json; empty when there is none. */
  readonly tokenizerConfig: JsonObject;
  /** special_tokens_map.json; empty when there is none. */
  readonly specialTokensMap: JsonObject;
  /** generation_config.json; empty when there is none. */
  readonly generationConfig: JsonObject;
  /** chat_template.jinja; null when there is none. */
  readonly chatTemplate: string | null;
}

/** Reads them. Only tokenizer.json must be there. Errors name the file. */
export async function readTextFiles(directory: string): Promise<TextFiles> {
  const tokenizerPath = join(directory, 'tokenizer.json');
  const tokenizer = await readJson(tokenizerPath);
  if (tokenizer === null) throw new Error(`${tokenizerPath}: not found; it is needed to turn text into tokens`);
  const [tokenizerConfig, specialTokensMap, generationConfig, chatTemplate] = await Promise.all([
    readJson(join(directory, 'tokenizer_config.json')),
    readJson(join(directory, 'special_tokens_map.json')),
    readJson(join(directory, 'generation_config.json')),
    readText(join(directory, 'chat_template.jinja')),
  ]);
  return {
    tokenizerPath,
    tokenizer,
    tokenizerConfig: tokenizerConfig ?? {},
    specialTokensMap: specialTokensMap ?? {},
    generationConfig: generationConfig ?? {},
    chatTemplate,
  };
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(`${path}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

async function readJson(path: string): Promise<JsonObject | null> {
  const text = await readText(path);
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: not valid JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!isObject(value)) throw new Error(`${path}: expected a JSON object`);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
