import { withAuthority, withLeaf, withoutPrevious } from './certificate-contents.ts';
import { type CertificateSecrets, type ReadCertificates, readCertificates } from './certificate-secrets.ts';
import { type CertificatePolicy, type CertificateStep, decide } from './decide.ts';
import { createAuthority, issueLeaf, type KeyPair } from './issue.ts';
import { SecretConflict, SecretError, type SecretStore } from './secret.ts';

const DAY_MS = 86_400_000;

/** The overlap is many times what a kubelet needs to bring a changed Secret to its pods, about a minute and a half. */
export const defaultPolicy: CertificatePolicy = {
  leafLifeMs: 90 * DAY_MS,
  authorityLifeMs: 3_650 * DAY_MS,
  overlapMs: 600_000,
  backdateMs: 300_000,
};

export interface CertificateOptions {
  readonly store: SecretStore;
  /** Name of the authority's Secret. */
  readonly authority: string;
  /** DNS names and addresses of each certificate by the name of its Secret; asked each time. */
  readonly certificates: () => Promise<ReadonlyMap<string, readonly string[]>>;
  /** Of Secrets that are made. */
  readonly labels: Readonly<Record<string, string>>;
  readonly policy: CertificatePolicy;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** What was done, for a log and for events. */
export interface CertificateChange {
  /** Name of the Secret. */
  readonly secret: string;
  readonly message: string;
}

/** Rounds of reading, deciding and writing: a whole first issue takes two. */
const MOST_ROUNDS = 8;

/**
 * Does everything that has to be done with the certificates now. Each write replaces the version that was read, so that of
 * several processes that do the same at once each step is taken by one. Throws a SecretError that says what to do.
 */
export async function keepCertificates(options: CertificateOptions): Promise<readonly CertificateChange[]> {
  const changes: CertificateChange[] = [];
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const secrets = await readSecrets(options);
    const read = readCertificates(secrets);
    const steps = decide(read.state, options.wallClock(), options.policy);
    if (steps.length === 0) return changes;
    try {
      for (const step of steps) changes.push(await carryOut(step, secrets, read, options));
    } catch (error) {
      if (!(error instanceof SecretConflict)) throw error;
    }
  }
  throw new SecretError(
    `the certificates of ${options.authority} could not be settled in ${MOST_ROUNDS} rounds`,
    'Look for another process that writes the same Secrets.',
  );
}

async function readSecrets({ store, authority, certificates }: CertificateOptions): Promise<CertificateSecrets> {
  const wanted = [...(await certificates())];
  const [first, ...others] = await Promise.all(
    [authority, ...wanted.map(([name]) => name)].map((name) => store.read(name)),
  );
  return {
    authority: first ?? null,
    leaves: wanted.map(([name, names], index) => ({ name, names, secret: others[index] ?? null })),
  };
}

async function carryOut(
  step: CertificateStep,
  secrets: CertificateSecrets,
  read: ReadCertificates,
  options: CertificateOptions,
): Promise<CertificateChange> {
  const { store, labels, policy, wallClock } = options;
  const { authority } = secrets;
  const nowMs = wallClock();
  const fromMs = nowMs - policy.backdateMs;
  if (step.kind === 'create authority') {
    const made = await createAuthority(options.authority, { fromMs, untilMs: nowMs + policy.authorityLifeMs });
    await store.write(withAuthority(authority, options.authority, labels, made), authority);
    return { secret: options.authority, message: `made an authority: ${step.reason}` };
  }
  if (step.kind === 'retire authority') {
    if (authority === null) throw new SecretConflict(options.authority);
    await store.write(withoutPrevious(authority), authority);
    return { secret: options.authority, message: 'retired the authority before: every certificate is of the newest' };
  }
  const leaf = secrets.leaves.find((one) => one.name === step.secret);
  const { names = [], secret = null } = leaf ?? {};
  const lifetime = { fromMs, untilMs: nowMs + policy.leafLifeMs };
  const pair =
    step.kind === 'bundle'
      ? null
      : await issueLeaf(signerOf(step.signer, read), { subject: step.secret, names, ...lifetime });
  const bundle = step.trusts.map((id) => read.certificates.get(id) ?? '');
  const content = { name: step.secret, labels, pair, bundle, nowMs };
  await store.write(withLeaf(secret, content), secret);
  return {
    secret: step.secret,
    message:
      step.kind === 'bundle' ? `trusts ${bundle.length} authorities now` : `issued a certificate: ${step.reason}`,
  };
}

function signerOf(id: string, { certificates, keys }: ReadCertificates): KeyPair {
  const [certificate, privateKey] = [certificates.get(id), keys.get(id)];
  if (certificate === undefined || privateKey === undefined) throw new Error(`no key of the authority ${id}`);
  return { certificate, privateKey };
}
