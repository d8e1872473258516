/**
 * API keys, kept as SHA-256 digests and compared in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

export interface ApiKeys {
  /** True when the header is `Bearer KEY` with a known key, or when no key is needed. */
  allows(authorization: string | undefined): boolean;
}

/** Lets everyone in. */
export const openAccess: ApiKeys = { allows: () => true };

/**
 * Keys as they are, or as `sha256:` followed by 64 hexadecimal digits. None: everyone is let in.
 * Throws on a digest that is malformed or a key that is empty.
 */
export function createApiKeys(keys: readonly string[]): ApiKeys {
  if (keys.length === 0) return openAccess;
  const digests = keys.map(toDigest);
  return {
    allows(authorization) {
      const key = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
      if (key === undefined) return false;
      // HTTP headers arrive as Latin-1: beyond ASCII, the bytes that were sent may be a key in UTF-8.
      const presented = [sha256(key), sha256(Buffer.from(key, 'latin1'))];
      let known = false;
      for (const digest of digests) {
        for (const one of presented) known = timingSafeEqual(digest, one) || known;
      }
      return known;
    },
  };
}

function toDigest(key: string): Buffer {
  if (key.trim() === '') throw new Error('an API key must not be empty');
  if (!key.startsWith('sha256:')) return sha256(key);
  if (!/^sha256:[0-9a-f]{64}$/i.test(key)) throw new Error('an API key digest must be "sha256:" and 64 hex digits');
  return Buffer.from(key.slice(7), 'hex');
}

function sha256(text: string | Buffer): Buffer {
  return createHash('sha256').update(text).digest();
}
