/**
 * What has to be done with a cluster's certificates now. Pure: it sees what the Secrets hold, and says the next steps.
 *
 * An authority is replaced without a moment in which one process shows what another does not trust:
 *   1. a new authority is made; from then on all bundles hold both;
 *   2. once every bundle has held it for the overlap, in which all processes take the new files, certificates are signed by it;
 *   3. once every certificate is of the new one and as old as the overlap, the old one leaves the bundles.
 */

export interface Validity {
  /** Milliseconds since 1970. */
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface Authority extends Validity {
  readonly id: string;
  /** Somebody asked for another one. */
  readonly renew?: boolean;
}

/** A certificate as its Secret holds it. */
export interface HeldLeaf extends Validity {
  readonly names: readonly string[];
  /** Id of the authority that signed it; null: none that is known. */
  readonly signer: string | null;
  /** Ids of the authorities in its bundle. */
  readonly trusts: readonly string[];
  /** When the last of them was added. */
  readonly trustsSinceMs: number;
}

export interface Leaf {
  /** Name of its Secret. */
  readonly secret: string;
  /** DNS names and addresses that it must have. */
  readonly names: readonly string[];
  /** Somebody asked for another one. */
  readonly renew?: boolean;
  /** Null: there is none, or one that nobody can use. */
  readonly held: HeldLeaf | null;
}

export interface CertificateState {
  /** Those whose keys are kept, the newest first. */
  readonly authorities: readonly Authority[];
  /** Those that bundles still hold, but whose keys are gone. */
  readonly orphans: readonly Authority[];
  readonly leaves: readonly Leaf[];
}

export interface CertificatePolicy {
  /** Milliseconds that a certificate lasts, and an authority. */
  readonly leafLifeMs: number;
  readonly authorityLifeMs: number;
  /** Milliseconds in which every process has surely taken files that changed. */
  readonly overlapMs: number;
  /** Milliseconds by which a certificate begins before it is made, for machines whose clocks are behind. */
  readonly backdateMs: number;
}

export type CertificateStep =
  | { readonly kind: 'create authority'; readonly reason: string }
  | { readonly kind: 'retire authority'; readonly authority: string }
  | {
      readonly kind: 'issue';
      readonly secret: string;
      readonly signer: string;
      readonly trusts: readonly string[];
      readonly reason: string;
    }
  | { readonly kind: 'bundle'; readonly secret: string; readonly trusts: readonly string[] };

/** Part of its life after which a certificate is replaced. */
const RENEWAL = 2 / 3;
const LIVED = 'two thirds of its life are over';
const ASKED = 'it was asked for';

/** Empty: nothing, until something changes or time passes. After 'create authority' the state has to be read again. */
export function decide(state: CertificateState, nowMs: number, policy: CertificatePolicy): readonly CertificateStep[] {
  const [newest, ...others] = state.authorities;
  if (newest === undefined) return [{ kind: 'create authority', reason: 'there is none' }];
  if (newest.renew === true) return [{ kind: 'create authority', reason: ASKED }];
  if (nowMs >= renewalAt(newest)) return [{ kind: 'create authority', reason: LIVED }];
  const held = state.leaves.flatMap((leaf) => leaf.held ?? []);
  const settled =
    held.length === state.leaves.length &&
    held.every(({ signer, fromMs }) => signer === newest.id && nowMs - fromMs >= policy.backdateMs + policy.overlapMs);
  const older = [...others, ...state.orphans].filter(({ untilMs }) => untilMs > nowMs && !settled);
  const trusts = [newest, ...older].map(({ id }) => id);
  const retired = others.filter(({ id }) => !trusts.includes(id));
  const spread = held.every(
    (leaf) =>
      leaf.signer === newest.id || (leaf.trusts.includes(newest.id) && nowMs - leaf.trustsSinceMs >= policy.overlapMs),
  );
  const signer = spread ? newest : others.find(({ id }) => trusts.includes(id));
  return [
    ...state.leaves.flatMap((leaf) => leafSteps(leaf, { newest, signer, trusts }, nowMs)),
    ...retired.map(({ id }) => ({ kind: 'retire authority', authority: id }) as const),
  ];
}

interface Trust {
  readonly newest: Authority;
  /** Who signs now; undefined: the newest cannot yet, and no other can. */
  readonly signer: Authority | undefined;
  readonly trusts: readonly string[];
}

function leafSteps(leaf: Leaf, { newest, signer, trusts }: Trust, nowMs: number): readonly CertificateStep[] {
  const { secret, held } = leaf;
  const urgent = urgentReason(leaf, trusts, nowMs);
  const reason = urgent ?? (signer === undefined ? null : reasonToIssue(leaf, newest, signer, nowMs));
  // One that nobody accepts any more cannot wait until all trust the newest.
  if (reason !== null) return [{ kind: 'issue', secret, signer: (signer ?? newest).id, trusts, reason }];
  return held !== null && sameMembers(held.trusts, trusts) ? [] : [{ kind: 'bundle', secret, trusts }];
}

function urgentReason({ held }: Leaf, trusts: readonly string[], nowMs: number): string | null {
  if (held === null) return 'there is none';
  if (nowMs >= held.untilMs) return 'it has expired';
  return held.signer === null || !trusts.includes(held.signer) ? 'its authority is not trusted' : null;
}

function reasonToIssue(
  { names, held, renew }: Leaf,
  newest: Authority,
  signer: Authority,
  nowMs: number,
): string | null {
  if (held === null) return 'there is none';
  const missing = names.filter((name) => !held.names.includes(name));
  if (missing.length > 0) return `it lacks the name ${missing[0]}`;
  if (renew === true) return ASKED;
  if (nowMs >= renewalAt(held)) return LIVED;
  return signer === newest && held.signer !== newest.id ? 'its authority was replaced' : null;
}

function renewalAt({ fromMs, untilMs }: Validity): number {
  return fromMs + RENEWAL * (untilMs - fromMs);
}

function sameMembers(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((member) => other.includes(member));
}
