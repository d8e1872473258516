/**
 * The files beside a checkpoint's weights that say how text becomes tokens and back.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isObject } from '../config/json.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export interface TextFiles {
  /** tokenizer.json's; null when there is no such file. */
  readonly tokenizerPath: string | null;
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
  /** The files of additional_chat_templates, by their names without ".jinja". */
  readonly additionalChatTemplates: Readonly<Record<string, string>>;
}

/** What another file than tokenizer.json says of text. */
export type OtherTokenizer = Pick<TextFiles, 'tokenizer' | 'tokenizerConfig' | 'chatTemplate'>;

/** Reads them. Only tokenizer.json must be there, or what `other` makes of tekken.json. Errors name the file. */
export async function readTextFiles(
  directory: string,
  other?: (tekken: JsonObject) => OtherTokenizer,
): Promise<TextFiles> {
  const own = await readJson(directory, 'tokenizer.json');
  const tekken = own === null ? await readJson(directory, 'tekken.json') : null;
  const instead = tekken && other ? other(tekken) : null;
  const tokenizer = own ?? instead?.tokenizer;
  if (!tokenizer) throw new Error('tokenizer.json: no such file; it is needed to turn text into tokens');
  const [tokenizerConfig, specialTokensMap, generationConfig, chatTemplate, additionalChatTemplates] =
    await Promise.all([
      readJson(directory, 'tokenizer_config.json'),
      readJson(directory, 'special_tokens_map.json'),
      readJson(directory, 'generation_config.json'),
      readText(directory, 'chat_template.jinja'),
      readFurtherTemplates(directory),
    ]);
  return {
    tokenizerPath: own && join(directory, 'tokenizer.json'),
    tokenizer,
    tokenizerConfig: tokenizerConfig ?? instead?.tokenizerConfig ?? {},
    specialTokensMap: specialTokensMap ?? {},
    generationConfig: generationConfig ?? {},
    chatTemplate: chatTemplate ?? (tokenizerConfig?.['chat_template'] == null ? instead?.chatTemplate : null) ?? null,
    additionalChatTemplates,
  };
}

async function readFurtherTemplates(directory: string): Promise<Readonly<Record<string, string>>> {
  const folder = 'additional_chat_templates';
  const names = await readdir(join(directory, folder)).catch(() => []);
  const templates: Record<string, string> = {};
  for (const name of names.filter((entry) => entry.endsWith('.jinja'))) {
    const text = await readText(directory, join(folder, name));
    if (text !== null) templates[name.slice(0, -'.jinja'.length)] = text;
  }
  return templates;
}

async function readText(directory: string, name: string): Promise<string | null> {
  try {
    return await readFile(join(directory, name), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(`${name}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

async function readJson(directory: string, name: string): Promise<JsonObject | null> {
  const text = await readText(directory, name);
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${name}: not valid JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!isObject(value)) throw new Error(`${name}: expected a JSON object`);
  return value;
}
