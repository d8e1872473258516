import { createHash } from 'node:crypto';
import type { Metadata } from '@grpc/grpc-js';
import { type ApiKeys, openAccess } from '../../../platform/rpc/api-keys.ts';
import type { AccessRule } from '../../../platform/rpc/server.ts';

/** Who may operate the cluster, and what an operator is called in events: over gRPC, and over anything else. */
export interface AdminAccess {
  readonly allows: AccessRule;
  /**
   * "key 1f3870be (ada@ops1)": the first digits of the key's SHA-256, and what the client says of itself. Never the key.
   * Where no key is needed, "local operator (ada@ops1)".
   */
  readonly nameOf: (metadata: Metadata) => string;
  /** Without a key, processes on this machine may operate the cluster. */
  readonly needsKey: boolean;
  /** As `allows`, by the header with the key and the address and port of the peer. */
  readonly operates: (authorization: string | undefined, peer: string) => boolean;
  /** As `nameOf`; `claim` is what the client says of itself. */
  readonly operatorName: (authorization: string | undefined, claim: string) => string;
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
  const needsKey = keys !== openAccess;
  const operates: AdminAccess['operates'] = (header, peer) => (needsKey ? keys.allows(header) : isLoopback(peer));
  const operatorName: AdminAccess['operatorName'] = (header, claim) =>
    `${needsKey ? `key ${fingerprint(header ?? '')}` : 'local operator'}${claimText(claim)}`;
  return {
    ...{ needsKey, operates, operatorName },
    allows: (metadata, peer) => operates(authorization(metadata), peer),
    nameOf: (metadata) => operatorName(authorization(metadata), metadata.get(OPERATOR_HEADER)[0]?.toString() ?? ''),
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

function claimText(claim: string): string {
  const shown = claim.replaceAll(/[^\w.@+-]/g, '').slice(0, CLAIM_LENGTH);
  return shown === '' ? '' : ` (${shown})`;
}
