import { describe, expect, test } from 'vitest';
import { type Bucket, type Bus, BusError, type Change } from '../../../platform/bus/bus.ts';
import { buckets, JOURNAL_LENGTH } from '../../../platform/bus/subjects.ts';

/** A bus under test. */
export interface BusWorld {
  /** Another user of the same bus. */
  connect(): Promise<Bus>;
  /** Lets time pass for the bus. */
  pass(ms: number): Promise<void>;
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(value: Uint8Array | null): string | null {
  return value === null ? null : new TextDecoder().decode(value);
}

/** Waits until `check` holds; fails with what it threw last after `withinMs`. */
export async function eventually(check: () => void | Promise<void>, withinMs = 5_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Everything that a watcher gets, as "key=value" and "key gone", with "ready" in its place. */
export class WatchLog {
  readonly lines: string[] = [];
  readonly changes: Change[] = [];
  readonly stop: () => void;

  constructor(bucket: Bucket) {
    this.stop = bucket.watch(
      (change) => {
        this.changes.push(change);
        const value = text(change.value);
        this.lines.push(value === null ? `${change.key} gone` : `${change.key}=${value}`);
      },
      () => this.lines.push('ready'),
    );
  }

  /** What the keys are, according to what came. */
  get state(): Record<string, string> {
    const state: Record<string, string> = {};
    for (const { key, value } of this.changes) {
      if (value === null) delete state[key];
      else state[key] = text(value) ?? '';
    }
    return state;
  }
}

/** What every implementation of Bus must do. `world` is made again for each test. */
export function busContract(name: string, world: () => BusWorld): void {
  describe(`${name} as a bus`, () => {
    test('a value is read as it was written, with its revision', async () => {
      const bus = await world().connect();
      const bucket = await bus.bucket('plans');
      expect(await bucket.get('a')).toBeNull();
      const revision = await bucket.put('a', Uint8Array.from([0, 255, 10, 13]));
      expect(await bucket.get('a')).toEqual({ key: 'a', value: Uint8Array.from([0, 255, 10, 13]), revision });
      const next = await bucket.put('a', bytes(''));
      expect(next).toBeGreaterThan(revision);
      expect(await bucket.get('a')).toEqual({ key: 'a', value: bytes(''), revision: next });
    });

    test('what a caller does to its buffer afterwards changes nothing', async () => {
      const bucket = await (await world().connect()).bucket('plans');
      const value = bytes('before');
      await bucket.put('a', value);
      value.fill(0);
      expect(text((await bucket.get('a'))?.value ?? null)).toBe('before');
    });

    test('create writes only where nothing is, also after a delete', async () => {
      const bucket = await (await world().connect()).bucket('plans');
      const first = await bucket.create('a', bytes('1'));
      expect(first).not.toBeNull();
      expect(await bucket.create('a', bytes('2'))).toBeNull();
      await bucket.delete('a');
      expect(await bucket.get('a')).toBeNull();
      const again = await bucket.create('a', bytes('3'));
      expect(again).toBeGreaterThan(first ?? Number.POSITIVE_INFINITY);
      expect(text((await bucket.get('a'))?.value ?? null)).toBe('3');
    });

    test('update writes only at the revision that it names', async () => {
      const bucket = await (await world().connect()).bucket('plans');
      const first = await bucket.put('a', bytes('1'));
      const second = await bucket.update('a', bytes('2'), first);
      expect(second).toBeGreaterThan(first);
      expect(await bucket.update('a', bytes('x'), first)).toBeNull();
      expect(await bucket.update('a', bytes('x'), 0)).toBeNull();
      expect(await bucket.update('absent', bytes('x'), first)).toBeNull();
      await bucket.delete('a');
      expect(await bucket.update('a', bytes('x'), second ?? 0)).toBeNull();
    });

    test('of many that update from one revision, one succeeds', async () => {
      const here = world();
      const users = await Promise.all([here.connect(), here.connect(), here.connect()]);
      const shared = await Promise.all(users.map((bus) => bus.bucket('control')));
      const revision = await shared[0]!.put('lease', bytes('nobody'));
      const results = await Promise.all(
        Array.from({ length: 30 }, (_, i) => shared[i % 3]!.update('lease', bytes(`user ${i}`), revision)),
      );
      expect(results.filter((result) => result !== null).length).toBe(1);
      const winner = results.findIndex((result) => result !== null);
      expect(text((await shared[0]!.get('lease'))?.value ?? null)).toBe(`user ${winner}`);
    });

    test('a watcher gets what there is, that it is ready, and every change after, in order', async () => {
      const here = world();
      const writer = await (await here.connect()).bucket('plans');
      const reader = await (await here.connect()).bucket('plans');
      await writer.put('b', bytes('1'));
      await writer.put('a', bytes('1'));
      await writer.put('b', bytes('2'));
      await writer.put('gone', bytes('1'));
      await writer.delete('gone');
      const log = new WatchLog(reader);
      await eventually(() => expect(log.lines).toEqual(['a=1', 'b=2', 'ready']));
      await writer.put('c', bytes('1'));
      await writer.delete('a');
      await writer.put('b', bytes('3'));
      await writer.delete('absent');
      await eventually(() => expect(log.lines.slice(3)).toEqual(['c=1', 'a gone', 'b=3']));
      const revisions = log.changes.map((change) => change.revision);
      expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
      log.stop();
      await writer.put('b', bytes('4'));
      await here.pass(50);
      expect(log.lines.length).toBe(6);
    });

    test('a watcher of an empty bucket is ready at once', async () => {
      const log = new WatchLog(await (await world().connect()).bucket('reports'));
      await eventually(() => expect(log.lines).toEqual(['ready']));
    });

    test('a burst of writes arrives complete', async () => {
      const here = world();
      const writer = await (await here.connect()).bucket('reports');
      const log = new WatchLog(await (await here.connect()).bucket('reports'));
      await Promise.all(Array.from({ length: 500 }, (_, i) => writer.put(`w${i % 50}`, bytes(String(i)))));
      const expected: Record<string, string> = {};
      for (let i = 0; i < 50; i++) expected[`w${i}`] = text((await writer.get(`w${i}`))?.value ?? null) ?? '';
      await eventually(() => expect(log.state).toEqual(expected));
    });

    test('a key that is not written for longer than it lives is gone, and watchers are notified', async () => {
      const here = world();
      const { ttlMs } = buckets.workers;
      const bucket = await (await here.connect()).bucket('workers');
      const log = new WatchLog(bucket);
      await bucket.put('alive', bytes('1'));
      await bucket.put('lost', bytes('1'));
      for (let i = 0; i < 14; i++) {
        await here.pass(ttlMs / 10);
        await bucket.put('alive', bytes('1'));
      }
      await eventually(() => expect(log.lines).toContain('lost gone'), ttlMs);
      expect(log.lines).not.toContain('alive gone');
      expect(await bucket.get('lost')).toBeNull();
      expect(await bucket.create('lost', bytes('2'))).not.toBeNull();
      await eventually(() => expect(log.state).toEqual({ alive: '1', lost: '2' }));
      expect(log.lines.filter((line) => line === 'lost gone').length).toBe(1);
    });

    test('events reach those who listen, by subject and by pattern', async () => {
      const here = world();
      const [sender, receiver] = [await here.connect(), await here.connect()];
      const heard: string[] = [];
      const stop = receiver.subscribe('conclave.v1.c.load.>', (payload, subject) =>
        heard.push(`${subject} ${text(payload)}`),
      );
      receiver.subscribe('conclave.v1.c.events', (payload) => heard.push(`event ${text(payload)}`));
      await here.pass(50);
      sender.publish('conclave.v1.c.load.w1', bytes('1'));
      sender.publish('conclave.v1.c.load.w2.x', bytes('2'));
      sender.publish('conclave.v1.c.load', bytes('not for the pattern'));
      sender.publish('conclave.v1.c.events', bytes('3'));
      await eventually(() =>
        expect(heard).toEqual(['conclave.v1.c.load.w1 1', 'conclave.v1.c.load.w2.x 2', 'event 3']),
      );
      stop();
      await here.pass(50);
      sender.publish('conclave.v1.c.load.w1', bytes('4'));
      sender.publish('conclave.v1.c.events', bytes('5'));
      await eventually(() => expect(heard.at(-1)).toBe('event 5'));
      expect(heard.length).toBe(4);
      expect(sender.droppedEvents).toBe(0);
    });

    test('a journal keeps the latest events of its subject, whoever listened, for those who come later', async () => {
      const here = world();
      const sender = await here.connect();
      const subject = `conclave.v1.journal${Math.floor(Math.random() * 1e9)}.events`;
      const journal = await sender.journal(subject);
      expect(await journal.recent(10)).toEqual([]);
      for (let i = 0; i < JOURNAL_LENGTH + 3; i++) sender.publish(subject, bytes(String(i)));
      sender.publish(`${subject}.other`, bytes('not of this subject'));
      const later = await (await here.connect()).journal(subject);
      await eventually(async () => expect((await later.recent(2)).map(text)).toEqual(['501', '502']));
      const all = (await later.recent(10_000)).map(text);
      expect([all.length, all[0], all.at(-1)]).toEqual([JOURNAL_LENGTH, '3', '502']);
      expect(await later.recent(0)).toEqual([]);
    });

    test('a listener that throws stops neither the others nor the bus', async () => {
      const here = world();
      const bus = await here.connect();
      const bucket = await bus.bucket('plans');
      bucket.watch(() => {
        throw new Error('listener');
      });
      const log = new WatchLog(bucket);
      await eventually(() => expect(log.lines).toEqual(['ready']));
      await bucket.put('a', bytes('1'));
      await bucket.put('b', bytes('1'));
      await eventually(() => expect(log.state).toEqual({ a: '1', b: '1' }));
    });

    test.each(['', 'a b', '.a', 'a.', 'a..b', 'a*', '>'])('key %j is refused', async (key) => {
      const bucket = await (await world().connect()).bucket('plans');
      await expect(bucket.put(key, bytes(''))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(bucket.get(key)).rejects.toBeInstanceOf(BusError);
    });

    test('after close every call says so, and closing again does nothing', async () => {
      const here = world();
      const bus = await here.connect();
      const bucket = await bus.bucket('plans');
      const states: string[] = [];
      bus.onState((state) => states.push(state));
      const log = new WatchLog(bucket);
      await eventually(() => expect(log.lines).toEqual(['ready']));
      await bus.close();
      await bus.close();
      expect(bus.state).toBe('closed');
      expect(states).toEqual(['closed']);
      await expect(bucket.put('a', bytes('1'))).rejects.toMatchObject({ code: 'CLOSED' });
      await expect(bus.bucket('workers')).rejects.toMatchObject({ code: 'CLOSED' });
      expect(() => bus.subscribe('x', () => undefined)).toThrow(BusError);
      expect(() => bucket.watch(() => undefined)).toThrow(BusError);
    });
  });
}
