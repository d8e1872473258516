import { describe, expect, it } from 'vitest';
import {
  type Authority,
  type CertificatePolicy,
  type CertificateState,
  type CertificateStep,
  decide,
  type HeldLeaf,
} from '../../../../../controller/kubernetes/certificates/decide.ts';

const day = 86_400_000;
const policy: CertificatePolicy = { leafLifeMs: 90 * day, authorityLifeMs: 3_000 * day, overlapMs: day, backdateMs: 0 };
const now = 1_000 * day;

const authority = (id: string, fromDay: number, untilDay = fromDay + 3_000): Authority => ({
  id,
  fromMs: fromDay * day,
  untilMs: untilDay * day,
});
const [one, two] = [authority('one', 900), authority('two', 990)];

/** One of the newest authority, a month old, that everyone has trusted for long. */
const leaf = (changes: Partial<HeldLeaf> = {}): HeldLeaf => ({
  ...{ names: ['a'], signer: 'one', trusts: ['one'], trustsSinceMs: 900 * day },
  ...{ fromMs: 970 * day, untilMs: 1_060 * day },
  ...changes,
});

const state = (
  authorities: readonly Authority[],
  held: readonly (HeldLeaf | null)[],
  orphans: readonly Authority[] = [],
): CertificateState => ({
  authorities,
  orphans,
  leaves: held.map((one_, index) => ({ secret: `r${index}`, names: ['a'], held: one_ })),
});

const issue = (secret: string, signer: string, trusts: readonly string[], reason: string): CertificateStep => ({
  ...{ kind: 'issue', secret, signer, trusts, reason },
});
const bundle = (secret: string, trusts: readonly string[]): CertificateStep => ({ kind: 'bundle', secret, trusts });

describe('what is done with certificates', () => {
  it.each<readonly [string, CertificateState, readonly CertificateStep[]]>([
    ['nothing while all is well', state([one], [leaf(), leaf()]), []],
    ['an authority first of all', state([], [null]), [{ kind: 'create authority', reason: 'there is none' }]],
    [
      'certificates that are not there yet',
      state([one], [null, leaf()]),
      [issue('r0', 'one', ['one'], 'there is none')],
    ],
    [
      'one that has lived two thirds of its life, to the day',
      state(
        [one],
        [leaf({ fromMs: 940 * day, untilMs: 1_030 * day }), leaf({ fromMs: 941 * day, untilMs: 1_031 * day })],
      ),
      [issue('r0', 'one', ['one'], 'two thirds of its life are over')],
    ],
    [
      'one that lacks a name; one with more names than it needs is left',
      state([one], [leaf({ names: ['b'] }), leaf({ names: ['a', 'b'] })]),
      [issue('r0', 'one', ['one'], 'it lacks the name a')],
    ],
    [
      'one that nobody knows the authority of',
      state([one], [leaf({ signer: null })]),
      [issue('r0', 'one', ['one'], 'its authority is not trusted')],
    ],
    [
      'one that somebody asks another for',
      { ...state([one], []), leaves: [{ secret: 'r0', names: ['a'], held: leaf(), renew: true }] },
      [issue('r0', 'one', ['one'], 'it was asked for')],
    ],
    [
      'an authority that somebody asks another for',
      state([{ ...one, renew: true }], [leaf()]),
      [{ kind: 'create authority', reason: 'it was asked for' }],
    ],
    [
      'an authority that has lived two thirds of its life',
      state([authority('old', 0, 1_500)], [leaf({ signer: 'old', trusts: ['old'] })]),
      [{ kind: 'create authority', reason: 'two thirds of its life are over' }],
    ],
  ])('%s', (_, given, steps) => {
    expect(decide(given, now, policy)).toEqual(steps);
  });
});

describe('an authority that follows another', () => {
  it.each<readonly [string, CertificateState, readonly CertificateStep[]]>([
    [
      'is trusted first',
      state([two, one], [leaf(), leaf()]),
      [bundle('r0', ['two', 'one']), bundle('r1', ['two', 'one'])],
    ],
    [
      'signs nothing while one bundle has it for less than the overlap; what is due is signed by the one before',
      state(
        [two, one],
        [
          leaf({ trusts: ['two', 'one'], trustsSinceMs: now - day }),
          leaf({ trusts: ['two', 'one'], trustsSinceMs: now - day + 1, untilMs: now + 1 }),
        ],
      ),
      [issue('r1', 'one', ['two', 'one'], 'two thirds of its life are over')],
    ],
    [
      'signs everything once all have trusted it for the overlap',
      state([two, one], [leaf({ trusts: ['one', 'two'], trustsSinceMs: now - day })]),
      [issue('r0', 'two', ['two', 'one'], 'its authority was replaced')],
    ],
    [
      'has the one before beside it until its certificates are as old as the overlap',
      state([two, one], [leaf({ signer: 'two', trusts: ['two', 'one'], fromMs: now - day + 1 })]),
      [],
    ],
    [
      'then stands alone',
      state([two, one], [leaf({ signer: 'two', trusts: ['two', 'one'], fromMs: now - day })]),
      [bundle('r0', ['two']), { kind: 'retire authority', authority: 'one' }],
    ],
    [
      'follows in the same way where the key of the one before is gone: nothing is signed meanwhile',
      state([two], [leaf({ untilMs: now + 1 })], [one]),
      [bundle('r0', ['two', 'one'])],
    ],
    [
      'signs at once what nobody accepts any more',
      state([two], [leaf({ untilMs: now }), leaf()], [one]),
      [issue('r0', 'two', ['two', 'one'], 'it has expired'), bundle('r1', ['two', 'one'])],
    ],
    [
      'signs at once where the one before has expired, and takes its place',
      state([two, authority('dead', 0, 999)], [leaf({ signer: 'dead', trusts: ['dead'] })]),
      [issue('r0', 'two', ['two'], 'its authority is not trusted'), { kind: 'retire authority', authority: 'dead' }],
    ],
  ])('%s', (_, given, steps) => {
    expect(decide(given, now, policy)).toEqual(steps);
  });
});
