import { beforeEach, describe, expect, it } from 'vitest';
import { HEARTBEAT_MS, Roster, SILENT_MS } from '../../../../../controller/cluster/roster/roster.ts';
import type { Sighting } from '../../../../../controller/cluster/roster/sighting.ts';
import { announcement } from './announcement.ts';

const reached: Sighting = { kind: 'reached' };
const gone: Sighting = { kind: 'gone', reason: 'nothing listens there' };
const unanswered: Sighting = { kind: 'unanswered', reason: 'no answer in time' };

const clock = { now: 0 };
let changes: string[];
let roster: Roster;

beforeEach(() => {
  clock.now = 0;
  changes = [];
  roster = new Roster({
    now: () => clock.now,
    wallClock: () => 1_000_000 + clock.now,
    onChange: ({ worker, standing }, before) => changes.push(`${worker.id} ${before} ${standing}`),
  });
});

function members(...sessions: [startedAtMs: number, more?: object][]) {
  return new Map(sessions.map(([startedAtMs, more]) => ['w', announcement('w', startedAtMs, more)]));
}

function saw(...sightings: Sighting[]): void {
  for (const sighting of sightings) roster.saw({ workerId: 'w', startedAtMs: 1 }, sighting);
}

function pass(ms: number, busConnected = true): void {
  clock.now += ms;
  roster.tick(busConnected);
}

const standing = () => roster.get('w')?.standing;

describe('a worker that was reached', () => {
  beforeEach(() => {
    roster.follow(members([1]));
    saw(reached);
    changes = [];
  });

  it('is lost as soon as two attempts in a row find nobody', () => {
    saw(gone);
    expect([standing(), roster.mayHold('w', true), roster.takesRequests('w')]).toEqual(['reached', true, true]);
    clock.now = 5;
    saw(gone);
    expect(roster.get('w')).toMatchObject({ standing: 'lost', reason: 'nothing listens there', sinceMs: 1_000_005 });
    expect([roster.mayHold('w', true), roster.takesRequests('w'), roster.lostForMs('w')]).toEqual([false, false, 0]);
    expect(changes).toEqual(['w reached lost']);
  });

  it('is not lost by one refusal, nor by one between answers', () => {
    saw(gone, reached, gone, unanswered, gone);
    expect([standing(), changes]).toEqual(['reached', []]);
  });

  it('is not lost by silence, however slow the machine is', () => {
    for (let second = 0; second < 29; second++) {
      saw(unanswered);
      pass(1_000);
    }
    expect([standing(), roster.mayHold('w', true), changes]).toEqual(['reached', true, []]);
    saw(reached);
    pass(SILENT_MS);
    expect(changes).toEqual([]);
  });

  it('is unreachable when it was silent for half a minute while its heartbeats came', () => {
    saw(unanswered);
    pass(SILENT_MS);
    expect([standing(), roster.mayHold('w', true)]).toEqual(['unreachable', false]);
    saw(reached);
    expect([standing(), roster.mayHold('w', false)]).toEqual(['reached', true]);
  });

  it('is unreachable, not lost, when its heartbeats go on without anybody at its address', () => {
    saw(gone, gone);
    pass(HEARTBEAT_MS - 1);
    expect(standing()).toBe('lost');
    pass(1);
    expect(roster.get('w')).toMatchObject({
      standing: 'unreachable',
      reason: 'nothing listens there; its heartbeats come all the same',
    });
  });

  it('is not said to send heartbeats while the bus, which would bring them, is away', () => {
    saw(gone, gone);
    pass(HEARTBEAT_MS * 3, false);
    pass(HEARTBEAT_MS - 1);
    expect(standing()).toBe('lost');
  });

  it('is lost when its heartbeats end, and may still take requests while it answers', () => {
    roster.follow(new Map());
    expect(roster.get('w')).toMatchObject({ standing: 'lost', reason: 'its heartbeats have ended', departed: true });
    expect([roster.mayHold('w', true), roster.takesRequests('w')]).toEqual([false, true]);
    expect(roster.isGone('w')).toBe(false);
    saw(unanswered); // It stands still.
    expect([roster.takesRequests('w'), roster.isGone('w')]).toEqual([false, true]);
  });

  it('is taken in again when its heartbeats come again and it answers', () => {
    roster.follow(new Map());
    saw(unanswered);
    roster.follow(members([1]));
    expect(roster.mayHold('w', false)).toBe(false);
    saw(reached);
    expect([standing(), roster.mayHold('w', false)]).toEqual(['reached', true]);
  });

  it('is forgotten when it left as it had said', () => {
    roster.follow(members([1, { draining: true }]));
    roster.follow(new Map());
    expect([roster.get('w'), changes]).toEqual([undefined, []]);
  });

  it('stays while it sends heartbeats, whoever wants it forgotten', () => {
    roster.forget('w');
    expect(standing()).toBe('reached');
    roster.follow(new Map());
    roster.forget('w');
    expect(standing()).toBeUndefined();
  });
});

describe('a worker that is started again under its id', () => {
  it('is not harmed by what is seen of the process before', () => {
    roster.follow(members([1]));
    saw(reached, gone);
    roster.follow(members([2]));
    saw(gone, gone, gone);
    expect([standing(), roster.mayHold('w', true), roster.mayHold('w', false)]).toEqual(['joining', true, false]);
    roster.saw({ workerId: 'w', startedAtMs: 2 }, reached);
    expect([standing(), roster.mayHold('w', false)]).toEqual(['reached', true]);
  });

  it('is asked again at another address', () => {
    roster.follow(members([1]));
    saw(reached);
    roster.follow(members([1, { address: 'elsewhere:1' }]));
    expect(roster.mayHold('w', false)).toBe(false);
  });

  it('gets nothing new for a while, longer each time, once it was lost again and again', () => {
    const waited: number[] = [];
    for (let session = 1; session <= 8; session++) {
      roster.follow(members([session]));
      const seen = (sighting: Sighting) => roster.saw({ workerId: 'w', startedAtMs: session }, sighting);
      seen(reached);
      expect(roster.mayHold('w', true)).toBe(true); // What it still has stays.
      const since = clock.now;
      expect(roster.mayHold('w', false)).toBe(roster.heldForMs('w') === 0);
      while (!roster.mayHold('w', false)) pass(1_000);
      waited.push((clock.now - since) / 1_000);
      seen(gone);
      seen(gone);
    }
    expect(waited).toEqual([0, 0, 2, 4, 8, 16, 32, 60]);
    pass(600_001);
    roster.follow(members([9]));
    roster.saw({ workerId: 'w', startedAtMs: 9 }, reached);
    expect(roster.mayHold('w', false)).toBe(true);
  });
});

describe('a worker that was never reached', () => {
  it.each([
    ['silent', unanswered],
    ['refusing', gone],
  ])('gets nothing while it is %s, and is named with the latest reason', (_, sighting) => {
    roster.follow(members([1]));
    expect([standing(), roster.mayHold('w', false)]).toEqual(['joining', false]);
    saw(sighting);
    expect([standing(), roster.mayHold('w', false), roster.takesRequests('w')]).toEqual(['unreachable', false, false]);
    saw({ kind: 'unanswered', reason: 'another' });
    expect(roster.get('w')?.reason).toBe('another');
    expect(changes).toEqual(['w joining unreachable']);
  });

  it('keeps what a plan gave it before this controller began to ask, for as long as silence alone speaks against it', () => {
    roster.follow(members([1]));
    saw(unanswered);
    pass(SILENT_MS - 1);
    expect(roster.mayHold('w', true)).toBe(true);
    pass(1);
    expect(roster.mayHold('w', true)).toBe(false);
  });

  it('loses at once what a plan gave it when nobody is at its address', () => {
    roster.follow(members([1]));
    saw(gone);
    expect(roster.mayHold('w', true)).toBe(false);
  });
});

it('a bounded number of departed workers is remembered', () => {
  const all = Array.from({ length: 100 }, (_, i) => announcement(`w${i}`, 1));
  roster.follow(new Map(all.map((worker) => [worker.id, worker])));
  for (let left = 99; left >= 0; left--) {
    clock.now++;
    roster.follow(new Map(all.slice(0, left).map((worker) => [worker.id, worker])));
  }
  const ids = [...roster.entries()].map(({ worker }) => worker.id);
  expect(ids).toHaveLength(64);
  expect(ids).toContain('w0'); // The last to go.
});
