import { readFileSync } from 'node:fs';
import { type ApiKeys, createApiKeys } from '../../platform/rpc/api-keys.ts';
import { ConfigError } from './load-config.ts';
import { key } from './values.ts';

/** The keys of --api-key and --api-key-file together. Throws a ConfigError where the file gives none. */
export function readApiKeys(config: {
  readonly apiKey: readonly string[] | null;
  readonly apiKeyFile: string | null;
}): ApiKeys {
  return readKeys('api-key', config.apiKey, config.apiKeyFile);
}

/** The keys of --admin-key and --admin-key-file together. Throws a ConfigError where the file gives none. */
export function readAdminKeys(config: {
  readonly adminKey: readonly string[] | null;
  readonly adminKeyFile: string | null;
}): ApiKeys {
  return readKeys('admin-key', config.adminKey, config.adminKeyFile);
}

function readKeys(flag: string, keys: readonly string[] | null, file: string | null): ApiKeys {
  const fromFile = file === null ? [] : readKeyFile(flag, file);
  try {
    return createApiKeys([...(keys ?? []), ...fromFile]);
  } catch (error) {
    throw new ConfigError([`--${flag}: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

/** A file that was meant to hold keys and holds none must not leave the server open. */
function readKeyFile(flag: string, path: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([`--${flag}-file ${path}: ${error instanceof Error ? error.message : String(error)}`]);
  }
  const lines = text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|[\r\n]/)
    .map((line, index) => ({ text: line.trim(), number: index + 1 }))
    .filter((line) => line.text !== '' && !line.text.startsWith('#'));
  if (lines.length === 0) throw new ConfigError([`--${flag}-file ${path}: expected one key per line, found none`]);
  const wrong = lines.filter((line) => !key().safeParse(line.text).success);
  if (wrong.length > 0) {
    throw new ConfigError(wrong.map((line) => `--${flag}-file ${path}:${line.number}: expected a key without spaces`));
  }
  return lines.map((line) => line.text);
}
