import { randomBytes } from 'node:crypto';
import {
  PURPOSE_LABEL,
  type Purpose,
  requireOwn,
  SecretConflict,
  type SecretContent,
  type SecretStore,
} from './secret.ts';

/** A Secret whose values are drawn once and then kept. */
export interface GeneratedSecret {
  readonly name: string;
  readonly purpose: Purpose;
  /** Its keys; null: drawn at random, else the value. */
  readonly values: Readonly<Record<string, string | null>>;
}

export interface GenerateOptions {
  readonly store: SecretStore;
  readonly labels: Readonly<Record<string, string>>;
}

/** 256 bits, in letters that need no quoting in shells, URLs and YAML. */
function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/**
 * Creates the Secret, or adds the keys that it lacks; values that are there stay. Of several that do so at once one creates
 * it, and the others keep what that one drew. Settles with what was done, null where it was complete.
 */
export async function generateSecret(wanted: GeneratedSecret, options: GenerateOptions): Promise<string | null> {
  const { store, labels } = options;
  const before = await store.read(wanted.name);
  if (before !== null) requireOwn(before, wanted.purpose);
  const missing = Object.keys(wanted.values).filter((key) => (before?.data[key] ?? '') === '');
  if (missing.length === 0) return null;
  const added = missing.map((key) => [key, wanted.values[key] ?? newSecret()]);
  try {
    const content: SecretContent = {
      ...{ name: wanted.name, type: 'Opaque', annotations: before?.annotations ?? {} },
      labels: { ...labels, ...before?.labels, [PURPOSE_LABEL]: wanted.purpose },
      data: { ...before?.data, ...Object.fromEntries(added) },
    };
    await store.write(content, before);
  } catch (error) {
    if (error instanceof SecretConflict) return generateSecret(wanted, options);
    throw error;
  }
  return before === null ? `created with ${missing.join(', ')}` : `completed with ${missing.join(', ')}`;
}

/** Of a server: one key a line, as --api-key-file and --admin-key-file read them. */
export function keysSecret(name: string): GeneratedSecret {
  return { name, purpose: 'keys', values: { keys: null } };
}

/** Of NATS. */
export function credentialsSecret(name: string, user: string): GeneratedSecret {
  return { name, purpose: 'credentials', values: { user, password: null } };
}
