import { FollowedFiles } from '../../platform/files/followed-files.ts';
import { type ApiKeys, createApiKeys } from '../../platform/rpc/api-keys.ts';
import type { ReloadLog } from './connections.ts';
import { ConfigError } from './load-config.ts';
import { key } from './values.ts';

/** The keys of --api-key and --api-key-file together. Throws a ConfigError where the file gives none. */
export function readApiKeys(
  config: { readonly apiKey: readonly string[] | null; readonly apiKeyFile: string | null },
  log: ReloadLog,
): ApiKeys {
  return readKeys('api-key', config.apiKey ?? [], config.apiKeyFile, log);
}

/** The keys of --admin-key and --admin-key-file together. Throws a ConfigError where the file gives none. */
export function readAdminKeys(
  config: { readonly adminKey: readonly string[] | null; readonly adminKeyFile: string | null },
  log: ReloadLog,
): ApiKeys {
  return readKeys('admin-key', config.adminKey ?? [], config.adminKeyFile, log);
}

/** The file is followed: keys that it loses are refused from then on. One that holds no keys any more changes nothing. */
function readKeys(flag: string, keys: readonly string[], path: string | null, log: ReloadLog): ApiKeys {
  const option = `--${flag}-file`;
  try {
    if (path === null) return createApiKeys(keys);
    const file = new FollowedFiles({
      files: [{ option, path }],
      parse: ([content = Buffer.alloc(0)]) => createApiKeys([...keys, ...parseKeys(flag, path, content)]),
      onChange: () => log.info({ file: path }, `the keys of ${option} were replaced`),
      onError: (err) => log.error({ err }, `the keys of ${option} stay those before`),
    });
    return { allows: (authorization) => file.value.allows(authorization) };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new ConfigError([message.startsWith('--') ? message : `--${flag}: ${message}`]);
  }
}

/** A file that was meant to hold keys and holds none must not leave the server open. */
function parseKeys(flag: string, path: string, content: Buffer): readonly string[] {
  const lines = content
    .toString('utf8')
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
