import { describe, expect, it } from 'vitest';
import { MemoryBus } from '../../../../platform/bus/memory-bus.ts';
import { eventSubject } from '../../../../platform/bus/subjects.ts';
import { systemClock } from '../../../../platform/process/clock.ts';
import { conclave, decode } from '../../../../proto/messages.ts';
import { FailureEvents } from '../../../../worker/agent/failure-events.ts';

function rig() {
  const heard: string[] = [];
  const bus = new MemoryBus({ clock: systemClock, onError: (error) => expect.fail(error) });
  bus.subscribe(eventSubject('test'), (payload) => {
    const { code, subject, message, count } = decode(conclave.ClusterEvent, payload);
    heard.push(`${count} ${code} ${subject}: ${message}`);
  });
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  let now = 0;
  const clock = {
    now: () => now,
    after(ms: number, callback: () => void) {
      const timer = { at: now + ms, callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  const events = new FailureEvents({ bus, cluster: 'test', clock, wallClock: () => 0 });
  const pass = async (ms: number): Promise<readonly string[]> => {
    now += ms;
    for (const timer of [...timers]) {
      if (timer.at > now || !timers.delete(timer)) continue;
      timer.callback();
    }
    await Promise.resolve();
    return heard.splice(0);
  };
  return { events, pass, timers };
}

describe('FailureEvents', () => {
  it('reports the first failure at once and counts those of the same kind that follow', async () => {
    const { events, pass, timers } = rig();
    for (let i = 0; i < 5; i++) events.report('PEER_LOST', 'worker/w1', `try ${i}`);
    events.report('PEER_LOST', 'worker/w2', 'other');
    expect(await pass(0)).toEqual(['1 PEER_LOST worker/w1: try 0', '1 PEER_LOST worker/w2: other']);
    expect(await pass(1_000)).toEqual(['4 PEER_LOST worker/w1: try 4']);
    expect(await pass(1_000)).toEqual([]);
    expect(timers.size).toBe(0);
    events.report('PEER_LOST', 'worker/w1', 'again');
    expect(await pass(0)).toEqual(['1 PEER_LOST worker/w1: again']);
  });

  it('reports more kinds than it remembers together, and loses none', async () => {
    const { events, pass, timers } = rig();
    for (let i = 0; i < 3_000; i++) events.report('POISONED', `worker/w${i}`, 'bad');
    const reported = [...(await pass(0)), ...(await pass(1_000))];
    expect(timers.size).toBeLessThanOrEqual(1_025);
    expect(reported.reduce((sum, line) => sum + Number(line.split(' ')[0]), 0)).toBe(3_000);
  });

  it('reports what it has kept when it is closed', async () => {
    const { events, pass, timers } = rig();
    for (let i = 0; i < 3; i++) events.report('DEADLINE', 'worker/w1', 'late');
    events.close();
    expect(await pass(0)).toEqual(['1 DEADLINE worker/w1: late', '2 DEADLINE worker/w1: late']);
    expect(timers.size).toBe(0);
  });
});
