import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { Lease } from '../../../../controller/cluster/leader/lease.ts';
import { type Bucket, BusError } from '../../../../platform/bus/bus.ts';
import { MemoryBus } from '../../../../platform/bus/memory-bus.ts';
import { LEASE } from '../../../../platform/bus/subjects.ts';
import { conclave, decode } from '../../../../proto/messages.ts';
import { ManualClock } from '../../worker/engine/manual-clock.ts';

const started: Lease[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((lease) => lease.stop()));
});

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Controllers that compete for one lease. Time passes in small steps, and every controller looks once in each. */
class Race {
  readonly clock = new ManualClock();
  readonly bus = new MemoryBus({
    clock: this.clock,
    onError: (_, error) => {
      throw error;
    },
  });
  readonly leases = new Map<string, Lease>();
  /** "id leads in term" and "id follows", in order. */
  readonly log: string[] = [];
  readonly stepMs = 100;

  async join(id: string, offset = 0, reach: (bucket: Bucket) => Bucket = (bucket) => bucket): Promise<Lease> {
    const lease = new Lease({
      bucket: reach(await this.bus.bucket('control')),
      controllerId: id,
      now: () => this.clock.now() + offset,
      wallClock: () => 0,
      onLead: (term) => this.log.push(`${id} leads in ${term}`),
      onFollow: () => this.log.push(`${id} follows`),
      onError: () => undefined,
      leastTerm: () => 0,
    });
    this.leases.set(id, lease);
    started.push(lease);
    lease.start();
    await settle();
    return lease;
  }

  leaders(): string[] {
    return [...this.leases].filter(([, lease]) => lease.term !== null).map(([id]) => id);
  }

  async pass(ms: number, each: () => void = () => undefined): Promise<void> {
    for (let passed = 0; passed < ms; passed += this.stepMs) {
      this.clock.advance(this.stepMs);
      for (const lease of this.leases.values()) void lease.tick();
      await settle();
      each();
    }
  }

  /** The controller is gone without a word. */
  kill(id: string): void {
    this.leases.delete(id);
  }
}

test('the first controller leads, and keeps leading', async () => {
  const race = new Race();
  await race.join('a');
  await race.join('b');
  await race.pass(60_000);
  expect(race.log).toEqual(['a leads in 1']);
});

test('a dead leader is followed within 5 s, under a higher term', async () => {
  const race = new Race();
  await race.join('a');
  await race.join('b', 1e9);
  await race.pass(10_000);
  race.kill('a');
  await race.pass(3_000);
  expect(race.leaders()).toEqual([]);
  await race.pass(2_000);
  expect(race.log).toEqual(['a leads in 1', 'b leads in 2']);
});

test('a leader that stops hands over at once', async () => {
  const race = new Race();
  const first = await race.join('a');
  await race.join('b');
  await race.pass(2_000);
  await first.stop();
  race.kill('a');
  await race.pass(200);
  expect(race.log).toEqual(['a leads in 1', 'a follows', 'b leads in 2']);
});

test('a leader that cannot write steps down before another can take over, and takes part again later', async () => {
  const race = new Race();
  let cut = false;
  const reach = (bucket: Bucket): Bucket => ({
    ...bound(bucket),
    update: async (...args) => {
      if (cut) throw new BusError('UNAVAILABLE', 'cut off');
      return bucket.update(...args);
    },
  });
  await race.join('a', 0, reach);
  await race.join('b');
  await race.pass(5_000);
  cut = true;
  await race.pass(10_000, () => expect(race.leaders().length).toBeLessThanOrEqual(1));
  expect(race.log).toEqual(['a leads in 1', 'a follows', 'b leads in 2']);
  cut = false;
  race.kill('b');
  await race.pass(5_000);
  expect(race.leaders()).toEqual(['a']);
});

test('a renewal whose answer was lost does not cost the lease', async () => {
  const race = new Race();
  let lose = false;
  const reach = (bucket: Bucket): Bucket => ({
    ...bound(bucket),
    update: async (...args) => {
      const revision = await bucket.update(...args);
      if (!lose) return revision;
      lose = false;
      throw new BusError('UNAVAILABLE', 'no answer');
    },
  });
  await race.join('a', 0, reach);
  await race.pass(3_000);
  lose = true;
  await race.pass(10_000);
  expect(lose).toBe(false);
  expect(race.log).toEqual(['a leads in 1']);
});

test('a bus that forgot the lease gets it again from the leader; terms never begin again', async () => {
  const race = new Race();
  await race.join('a');
  await race.join('b');
  await race.pass(3_000);
  const control = await race.bus.bucket('control');
  await control.delete(LEASE);
  await race.pass(3_000);
  expect(race.leaders().length).toBe(1);
  race.kill(race.leaders()[0]!);
  await control.delete(LEASE);
  await race.pass(5_000);
  const terms = race.log.filter((line) => line.includes('leads')).map((line) => Number(line.split(' ').at(-1)));
  expect(terms).toEqual([...new Set(terms)].sort((a, b) => a - b));
  expect(race.leaders().length).toBe(1);
});

test('a term known from elsewhere is a lower bound', async () => {
  const bus = new MemoryBus({ clock: new ManualClock(), onError: () => undefined });
  const bucket = await bus.bucket('control');
  const terms: number[] = [];
  const lease = new Lease({
    bucket,
    controllerId: 'a',
    now: () => 0,
    wallClock: () => 7,
    onLead: (term) => terms.push(term),
    onFollow: () => undefined,
    onError: () => undefined,
    leastTerm: () => 41,
  });
  started.push(lease);
  lease.start();
  await settle();
  expect(terms).toEqual([42]);
  expect(decode(conclave.LeaderLease, (await bucket.get(LEASE))!.value)).toEqual({
    controllerId: 'a',
    term: 42,
    renewedAtMs: 7,
  });
});

// Calls are applied late, answered late or never, and applied after the caller gave up; watchers hear late; clocks have
// nothing to do with each other. Whatever happens, two never lead at a time and no term comes twice; once calls get through
// again, somebody leads within 10 s.
test('two controllers never lead at a time, whatever happens to their calls', async () => {
  await fc.assert(
    fc.asyncProperty(fc.infiniteStream(fc.nat(99)), fc.boolean(), async (dice, pause) => {
      const race = new Race();
      const roll = () => dice.next().value;
      let rough = true;
      const reach = (bucket: Bucket): Bucket => unreliable(bucket, race.clock, () => (rough ? roll() : 0));
      for (const id of ['a', 'b', 'c']) await race.join(id, roll() * 1e6, reach);
      const alone = () => expect(race.leaders().length, race.log.join('; ')).toBeLessThanOrEqual(1);
      for (let round = 0; round < 6; round++) {
        await race.pass(4_000, alone);
        if (!pause || roll() >= 50) continue;
        // A controller whose process stands still: it does not look, then goes on where it was.
        const [id, lease] = [...race.leases][roll() % 3]!;
        race.leases.delete(id);
        await race.pass(roll() * 100);
        race.leases.set(id, lease);
        void lease.tick();
        await settle();
        alone();
      }
      rough = false;
      await race.pass(10_000, alone);
      expect(race.leaders().length).toBe(1);
      const terms = race.log.filter((line) => line.includes('leads')).map((line) => Number(line.split(' ').at(-1)));
      expect(terms).toEqual([...new Set(terms)].sort((a, b) => a - b));
      for (const lease of race.leases.values()) await lease.stop();
    }),
    { numRuns: 60, seed: 1 },
  );
});

function bound(bucket: Bucket): Bucket {
  return {
    get: (key) => bucket.get(key),
    put: (key, value) => bucket.put(key, value),
    create: (key, value) => bucket.create(key, value),
    update: (key, value, revision) => bucket.update(key, value, revision),
    delete: (key) => bucket.delete(key),
    watch: (listener, onReady) => bucket.watch(listener, onReady),
  };
}

/** A bucket behind a bad network: `roll` decides the fate of each call and of each change that a watcher hears. */
function unreliable(bucket: Bucket, clock: ManualClock, roll: () => number): Bucket {
  const deadlineMs = 2_000;
  const call = (write: () => Promise<number | null>): Promise<number | null> =>
    new Promise((resolve, reject) => {
      const [before, after] = roll() < 60 ? [0, 0] : [roll() * 40, roll() * 40];
      const giveUp = clock.after(deadlineMs, () => reject(new BusError('UNAVAILABLE', 'no answer')));
      const answer = (revision: number | null): void => {
        if (roll() >= 90) return; // The answer is lost.
        later(clock, after, () => {
          giveUp();
          resolve(revision);
        });
      };
      if (roll() < 90) later(clock, before, () => void write().then(answer, reject));
    });
  return {
    ...bound(bucket),
    create: (key, value) => call(() => bucket.create(key, value)),
    update: (key, value, revision) => call(() => bucket.update(key, value, revision)),
    watch: (listener, onReady) => {
      let delay = 0;
      return bucket.watch((change) => {
        delay = roll() < 80 ? 0 : roll() * 20;
        later(clock, delay, () => listener(change));
      }, onReady);
    },
  };
}

function later(clock: ManualClock, ms: number, callback: () => void): void {
  if (ms === 0) callback();
  else clock.after(ms, callback);
}
