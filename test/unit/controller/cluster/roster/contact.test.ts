import { status } from '@grpc/grpc-js';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../../../../controller/cluster/roster/connection.ts';
import { Contact } from '../../../../../controller/cluster/roster/contact.ts';
import type { Session } from '../../../../../controller/cluster/roster/sighting.ts';
import { ManualClock } from '../../../worker/engine/manual-clock.ts';

const session = { workerId: 'w', startedAtMs: 1 };
const refused = {
  code: status.UNAVAILABLE,
  details: 'No connection established. Last error: Error: connect ECONNREFUSED h:1.',
};

/** A connection whose other side the test plays. */
class FakeConnection implements Connection {
  answer: (who: Session) => void = () => undefined;
  fail: (error: object) => void = () => undefined;
  break: () => void = () => undefined;
  closed = false;

  identify(): Promise<Session> {
    return new Promise((resolve, reject) => {
      this.answer = resolve;
      this.fail = reject;
    });
  }

  onBroken(callback: () => void): void {
    this.break = callback;
  }

  close(): void {
    this.closed = true;
    this.break(); // As a channel does.
  }
}

let clock: ManualClock;
let made: FakeConnection[];
let seen: string[];
let contact: Contact;

beforeEach(() => {
  clock = new ManualClock();
  made = [];
  seen = [];
  contact = new Contact({
    ...{ session, address: 'h:1', clock },
    connect: () => {
      const connection = new FakeConnection();
      made.push(connection);
      return connection;
    },
    onSighting: (sighting) => seen.push(sighting.kind),
  });
});

const latest = (): FakeConnection => made.at(-1) as FakeConnection;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Contact', () => {
  it('asks on another connection as soon as the one it has breaks', async () => {
    latest().answer(session);
    await settle();
    latest().break();
    expect(made).toHaveLength(2);
    latest().fail(refused);
    await settle();
    clock.advance(100);
    latest().fail(refused);
    await settle();
    expect(seen).toEqual(['reached', 'gone', 'gone']);
    expect(made.every(({ closed }) => closed)).toBe(true);
  });

  it('takes a connection that broke for nothing when the process still answers', async () => {
    latest().answer(session);
    await settle();
    latest().break();
    latest().answer(session);
    await settle();
    expect(seen).toEqual(['reached', 'reached']);
    expect(made.map(({ closed }) => closed)).toEqual([true, false]);
  });

  it('tries again more and more rarely', async () => {
    const waits: number[] = [];
    for (let attempt = 0; attempt < 9; attempt++) {
      latest().fail({ code: status.DEADLINE_EXCEEDED, details: '' });
      await settle();
      const [before, since] = [made.length, clock.now()];
      while (made.length === before) clock.advance(50);
      waits.push(clock.now() - since);
    }
    expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
  });

  it('asks at once when a member could not reach the worker, but not twice at a time', async () => {
    contact.lookNow();
    expect(made).toHaveLength(1);
    latest().answer(session);
    await settle();
    contact.lookNow();
    contact.lookNow();
    expect(made).toHaveLength(2);
    latest().fail(refused);
    await settle();
    contact.lookNow();
    expect(made).toHaveLength(3);
    clock.advance(10_000); // The retry that was due is not made as well.
    expect(made).toHaveLength(3);
  });

  it('is silent once it is closed', async () => {
    contact.close();
    latest().answer(session);
    await settle();
    clock.advance(100_000);
    expect([seen, made.length, latest().closed]).toEqual([[], 1, true]);
  });
});
