/** What is to be in a Secret of Kubernetes, as far as certificates and keys need it. */
export interface SecretContent {
  readonly name: string;
  readonly type: 'kubernetes.io/tls' | 'Opaque';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Decoded. */
  readonly data: Readonly<Record<string, string>>;
}

/** A Secret as it was read. */
export interface Secret extends SecretContent {
  readonly version: string;
}

/** Where Secrets are kept: one namespace. */
export interface SecretStore {
  /** Null where there is none. */
  read(name: string): Promise<Secret | null>;
  /** Creates it where there was none before, else changes that very version. Throws a SecretConflict where another was faster. */
  write(content: SecretContent, before: Secret | null): Promise<void>;
}

/** Somebody else wrote the Secret since it was read: it has to be read again. */
export class SecretConflict extends Error {
  constructor(name: string) {
    super(`Secret ${name} was changed by someone else meanwhile`);
    this.name = 'SecretConflict';
  }
}

/** A Secret that cannot be used, and what to do about it. */
export class SecretError extends Error {
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.name = 'SecretError';
    this.remedy = remedy;
  }
}

/** What a Secret of ours is for; one without it is somebody else's, and is never written. */
export const PURPOSE_LABEL = 'conclave.dev/secret';
export type Purpose = 'authority' | 'certificate' | 'keys' | 'credentials';

/** Throws a SecretError where the Secret is not one of ours. */
export function requireOwn(secret: Secret, purpose: Purpose): void {
  if (secret.labels[PURPOSE_LABEL] === purpose) return;
  throw new SecretError(
    `Secret ${secret.name} is there already, without the label ${PURPOSE_LABEL}=${purpose}: somebody else made it`,
    'Delete it or give it the label, or choose other names for the Secrets.',
  );
}
