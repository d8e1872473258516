import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CacheClaim, CacheGuard, CacheRefused } from '../../../../worker/wire/cache-claim.ts';

function ids(): () => number {
  let last = 0;
  return () => ++last;
}

describe('CacheGuard', () => {
  it('takes steps of one owner, and of the next one from its first step on', () => {
    const newId = ids();
    const [before, after] = [new CacheClaim(newId, 1), new CacheClaim(newId, 2)];
    const guard = new CacheGuard(0);
    guard.admit(before.fields);
    before.succeeded();
    guard.admit(before.fields);
    guard.admit(after.fields);
    expect(() => guard.admit(before.fields)).toThrow('cache_epoch: plan 2 gave this cache to another worker, got 1');
    before.lost();
    expect(() => guard.admit(before.fields)).toThrow(CacheRefused);
    guard.admit(after.fields);
  });

  it('refuses an owner whose rows it has lost, until that begins again', () => {
    const claim = new CacheClaim(ids(), 1);
    new CacheGuard(0).admit(claim.fields);
    claim.succeeded();
    const restarted = new CacheGuard(0);
    expect(() => restarted.admit(claim.fields)).toThrow(/^cache_id: the cache here is not what it was when 1 was/);
    claim.lost();
    restarted.admit(claim.fields);
    claim.succeeded();
    restarted.admit(claim.fields);
  });

  it('takes an owner again that a plan has made the owner again', () => {
    const newId = ids();
    const [first, second] = [new CacheClaim(newId, 1), new CacheClaim(newId, 2)];
    const guard = new CacheGuard(0);
    guard.admit(first.fields);
    first.succeeded();
    guard.admit(second.fields);
    first.renew(3);
    expect(() => guard.admit(first.fields)).toThrow(/^cache_id/); // The other one has written here meanwhile.
    first.lost();
    guard.admit(first.fields);
    expect(() => guard.admit(second.fields)).toThrow(/^cache_epoch/);
  });

  it('refuses an owner by an older plan than the cache was made for, however fresh its cache', () => {
    const newId = ids();
    const [before, after] = [new CacheClaim(newId, 4), new CacheClaim(newId, 5)];
    const guard = new CacheGuard(5);
    expect(() => guard.admit(before.fields)).toThrow('cache_epoch: plan 5 gave this cache to another worker, got 4');
    guard.admit(after.fields);
    before.renew(5);
    guard.admit(before.fields);
  });

  // Whatever owners do and whenever the holder restarts: a step that relies on rows is only taken where exactly those are.
  it('never takes a step that needs rows which are not there', () => {
    const action = fc.record({
      kind: fc.constantFrom('step', 'step', 'step', 'renew', 'restart'),
      owner: fc.nat(2),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const newId = ids();
        const owners = [1, 2, 3].map((epoch) => ({ claim: new CacheClaim(newId, epoch), rows: 0 }));
        let guard = new CacheGuard(0);
        let epoch = 3;
        let held: { owner: number; rows: number } | null = null;
        for (const { kind, owner } of actions) {
          const it = owners[owner]!;
          if (kind === 'renew') it.claim.renew(++epoch);
          else if (kind === 'restart') [guard, held] = [new CacheGuard(0), null];
          else {
            try {
              guard.admit(it.claim.fields);
            } catch (error) {
              expect(error).toBeInstanceOf(CacheRefused);
              it.claim.lost();
              it.rows = 0;
              continue;
            }
            if (it.rows > 0) expect(held).toEqual({ owner, rows: it.rows });
            it.rows++;
            held = { owner, rows: it.rows };
            it.claim.succeeded();
          }
        }
      }),
    );
  });
});
