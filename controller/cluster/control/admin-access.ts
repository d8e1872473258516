import { createHash } from 'node:crypto';
import type { Metadata } from '@grpc/grpc-js';
import { type ApiKeys, openAccess } from '../../../platform/rpc/api-keys.ts';
import type { AccessRule } from '../../../platform/rpc/server.ts';

/** Who may operate the cluster, and what an operator is called in events. */
export interface AdminAccess {
  readonly allows: AccessRule;
  /**
   * "key 1f3870be (ada@ops1)": the first digits of the key's SHA-256, and what the client says of itself. Never the key.
   * Where no key is needed, "local operator (ada@ops1)".
   */
  readonly nameOf: (metadata: Metadata) => string;
}

/** Header in which a client says who and where it is. A claim: nothing is decided from it. */
export const OPERATOR_HEADER = 'conclave-operator';
/** Characters of a claim that are shown. */
const CLAIM_LENGTH = 64;

/**
 * Those with an admin key; without admin keys, those with an API key; without any keys, processes on this machine.
 */
export function adminAccess(adminKeys: ApiKeys, apiKeys: ApiKeys): AdminAccess {
  const keys = adminKeys === openAccess ? apiKeys : adminKeys;
  if (keys === openAccess) {
    return { allows: (_, peer) => isLoopback(peer), nameOf: (metadata) => `local operator${claim(metadata)}` };
  }
  return {
    allows: (metadata) => keys.allows(authorization(metadata)),
    nameOf: (metadata) => `key ${fingerprint(authorization(metadata) ?? '')}${claim(metadata)}`,
  };
}

/** Whether an address with a port, such as "127.0.0.1:4711" or "[::1]:4711", is of this machine's loopback. */
export function isLoopback(peer: string): boolean {
  const host = peer
    .replace(/^ipv[46]:/, '')
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '');
  return /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(host) || host === '::1';
}

function authorization(metadata: Metadata): string | undefined {
  return metadata.get('authorization')[0]?.toString();
}

function fingerprint(header: string): string {
  const key = header.replace(/^bearer +/i, '').trim();
  return createHash('sha256').update(key).digest('hex').slice(0, 8);
}

function claim(metadata: Metadata): string {
  const given = metadata.get(OPERATOR_HEADER)[0]?.toString() ?? '';
  const shown = given.replaceAll(/[^\w.@+-]/g, '').slice(0, CLAIM_LENGTH);
  return shown === '' ? '' : ` (${shown})`;
}
