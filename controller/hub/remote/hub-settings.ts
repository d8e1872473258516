/** Where the Hub and its local cache are: the variables of Hugging Face's own tools, with the same meaning. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { HubError } from './hub-error.ts';

export interface HubSettings {
  /** Folder of the cache, absolute. */
  readonly cache: string;
  /** Such as "https://huggingface.co", without a slash at its end. */
  readonly endpoint: string;
  /** Null where there is none. */
  readonly token: string | null;
  /** Whether nothing may be asked of the Hub. */
  readonly offline: boolean;
  /** Milliseconds without a byte after which a connection counts as lost. */
  readonly stallMs: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

const defaultStallMs = 30_000;

/** Throws a HubError for a variable that cannot be meant. */
export function readHubSettings(environment: Environment, home: string = homedir()): HubSettings {
  const folder = (...names: readonly string[]): string | null => {
    const value = first(environment, names);
    return value === null ? null : resolve(expand(value, environment, home));
  };
  const own = join(folder('XDG_CACHE_HOME') ?? join(home, '.cache'), 'huggingface');
  const hubHome = folder('HF_HOME') ?? own;
  return {
    cache: folder('HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE') ?? join(hubHome, 'hub'),
    endpoint: readEndpoint(first(environment, ['HF_ENDPOINT']) ?? 'https://huggingface.co'),
    token:
      first(environment, ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) ??
      readToken(folder('HF_TOKEN_PATH') ?? join(hubHome, 'token')),
    offline: ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].some((name) => isTrue(environment[name])),
    stallMs: readStall(environment['HF_HUB_DOWNLOAD_TIMEOUT']),
  };
}

/** The first variable that is set and not empty. */
function first(environment: Environment, names: readonly string[]): string | null {
  for (const name of names) {
    const value = environment[name]?.trim();
    if (value !== undefined && value !== '') return value;
  }
  return null;
}

/** A path with "~" and variables replaced, as Hugging Face's tools do. */
function expand(path: string, environment: Environment, home: string): string {
  const named = path.replaceAll(
    /\$(?:\{(\w+)\}|(\w+))/g,
    (text, braced: string | undefined, bare: string | undefined) => environment[braced ?? bare ?? ''] ?? text,
  );
  return named === '~' || named.startsWith('~/') ? join(home, named.slice(1)) : named;
}

function isTrue(value: string | undefined): boolean {
  return ['1', 'ON', 'YES', 'TRUE'].includes((value ?? '').toUpperCase());
}

function readEndpoint(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new HubError('HUB_SETTINGS', `HF_ENDPOINT: expected a URL, got ${JSON.stringify(value)}`, endpointRemedy);
  }
  return value.replace(/\/+$/, '');
}

const endpointRemedy = 'Unset it for https://huggingface.co, or give the address of a mirror.';

/** The token that `hf auth login` stored; null where there is none. */
function readToken(path: string): string | null {
  try {
    const token = readFileSync(path, 'utf8').trim();
    return token === '' ? null : token;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    const reason = `${path}: the token cannot be read: ${(error as Error).message}`;
    throw new HubError('HUB_SETTINGS', reason, 'Give the token as HF_TOKEN, or mend the file.', { cause: error });
  }
}

function readStall(value: string | undefined): number {
  if (value === undefined || value.trim() === '') return defaultStallMs;
  const seconds = Number(value);
  if (!(seconds > 0 && seconds <= 86_400)) {
    const reason = `HF_HUB_DOWNLOAD_TIMEOUT: expected seconds above 0, got ${JSON.stringify(value)}`;
    throw new HubError('HUB_SETTINGS', reason, `Unset it for ${defaultStallMs / 1_000} seconds.`);
  }
  return seconds * 1_000;
}
