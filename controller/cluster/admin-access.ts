import { type ApiKeys, openAccess } from '../../proto/api-keys.ts';
import type { AccessRule } from '../../proto/server.ts';
import { readAdminKeys } from '../config/api-keys.ts';

/**
 * Who may operate the cluster: those with an admin key; without admin keys, those with an API key; without any keys,
 * processes on this machine.
 */
export function adminAccess(
  config: { readonly adminKey: readonly string[] | null; readonly adminKeyFile: string | null },
  apiKeys: ApiKeys,
): AccessRule {
  const adminKeys = readAdminKeys(config);
  const keys = adminKeys === openAccess ? apiKeys : adminKeys;
  if (keys === openAccess) return (_, peer) => isLoopback(peer);
  return (metadata) => keys.allows(metadata.get('authorization')[0]?.toString());
}

/** Whether an address with a port, such as "127.0.0.1:4711" or "[::1]:4711", is of this machine's loopback. */
export function isLoopback(peer: string): boolean {
  const host = peer
    .replace(/^ipv[46]:/, '')
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '');
  return /^(::ffff:)?127\.\d+\.\d+\.\d+$/.test(host) || host === '::1';
}
