import { expect, it, vi } from 'vitest';
import { EventLog } from '../../../../controller/cluster/events/events.ts';
import { MemoryBus } from '../../../../platform/bus/memory-bus.ts';
import { JOURNAL_LENGTH } from '../../../../platform/bus/subjects.ts';
import { systemClock } from '../../../../platform/process/clock.ts';

it('knows what happened before it started, once and in order, and keeps a bounded number', async () => {
  const bus = new MemoryBus({ clock: systemClock, onError: (error) => expect.fail(error) });
  let now = 0;
  const open = (): EventLog => new EventLog({ bus, cluster: 'c', wallClock: () => now });
  const publish = (log: EventLog, message: string): void => {
    now += 1;
    log.publish({ code: 'X', severity: 'info', subject: 's', message });
  };
  const first = open();
  await first.load();
  publish(first, 'one');
  publish(first, 'two');
  await vi.waitFor(() => expect(first.recent(10)).toHaveLength(2));
  first.close();

  const second = open();
  const received: string[] = [];
  second.watch(({ message }) => received.push(message));
  publish(second, 'three'); // Heard live, and in the journal too.
  await vi.waitFor(() => expect(received).toEqual(['three']));
  await second.load();
  expect(second.recent(10).map(({ message }) => message)).toEqual(['one', 'two', 'three']);
  expect(received).toEqual(['three']);

  for (let i = 0; i < JOURNAL_LENGTH; i++) publish(second, `more ${i}`);
  await vi.waitFor(() => expect(received).toHaveLength(JOURNAL_LENGTH + 1));
  expect(second.recent(10_000)).toHaveLength(JOURNAL_LENGTH);
  await second.load();
  expect(second.recent(10_000)).toHaveLength(JOURNAL_LENGTH);
  expect(second.recent(1)[0]?.message).toBe(`more ${JOURNAL_LENGTH - 1}`);
});

it('reports to others what happened while the bus was away once it is back, and itself once', async () => {
  const bus = new MemoryBus({ clock: systemClock, onError: (error) => expect.fail(error) });
  const cut = { state: 'reconnecting' };
  const here = new Proxy(bus, {
    get: (target, key) => {
      if (key === 'state') return cut.state;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const [log, other] = [here, bus].map((each) => new EventLog({ bus: each, cluster: 'c', wallClock: () => 7 }));
  log!.publish({ code: 'X', severity: 'info', subject: 's', message: 'while it was away' });
  expect([log!.recent(10).length, other!.recent(10).length]).toEqual([1, 0]);
  cut.state = 'connected';
  await log!.load();
  await vi.waitFor(() => expect(other!.recent(10)).toHaveLength(1));
  await log!.load();
  expect(log!.recent(10)).toEqual(other!.recent(10));
});
