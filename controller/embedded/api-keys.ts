import { readFileSync } from 'node:fs';
import { type ApiKeys, createApiKeys } from '../../proto/api-keys.ts';
import { ConfigError } from '../config/load-config.ts';
import type { ServeConfig } from '../config/serve-config.ts';

/** The keys of --api-key and --api-key-file together. Throws a ConfigError where the file gives none. */
export function readApiKeys({ apiKey, apiKeyFile }: Pick<ServeConfig, 'apiKey' | 'apiKeyFile'>): ApiKeys {
  const fromFile = apiKeyFile === null ? [] : readKeyFile(apiKeyFile);
  try {
    return createApiKeys([...(apiKey ?? []), ...fromFile]);
  } catch (error) {
    throw new ConfigError([`--api-key: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

/** A file that was meant to hold keys and holds none must not leave the server open. */
function readKeyFile(path: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([`--api-key-file ${path}: ${error instanceof Error ? error.message : String(error)}`]);
  }
  const keys = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (keys.length === 0) throw new ConfigError([`--api-key-file ${path}: expected one key per line, found none`]);
  return keys;
}
