/** The keys that this tab was given. They are kept until it is closed, and sent in headers only. */
const NAMES = { look: 'conclave-key', operate: 'conclave-admin-key' } as const;

export type KeyPurpose = keyof typeof NAMES;

export function keyFor(purpose: KeyPurpose): string {
  return sessionStorage.getItem(NAMES[purpose]) ?? '';
}

export function keepKey(purpose: KeyPurpose, key: string): void {
  if (key === '') sessionStorage.removeItem(NAMES[purpose]);
  else sessionStorage.setItem(NAMES[purpose], key);
}

/** Headers with a key; none without one. */
export function authorization(key: string): Record<string, string> {
  return key === '' ? {} : { authorization: `Bearer ${key}` };
}

/** What is wrong with a text as a key; empty where nothing is. A header carries these characters only. */
export function keyProblem(key: string): string {
  return /^[\x21-\x7e]+$/.test(key) ? '' : 'Keys are made of letters, digits and signs of ASCII, without spaces.';
}
