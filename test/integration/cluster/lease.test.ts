import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Lease } from '../../../controller/cluster/leader/lease.ts';
import { NatsBus } from '../../../platform/bus/nats-bus.ts';
import { eventually } from '../bus/contract.ts';
import { findNatsServer, NatsServer, natsServerMissing } from '../nats-server.ts';

const available = findNatsServer() !== null;

/** A controller's claim on leadership, with a connection of its own. */
interface Candidate {
  readonly id: string;
  readonly lease: Lease;
  readonly bus: NatsBus;
}

describe.skipIf(!available)(`two controllers and one lease${available ? '' : ` (${natsServerMissing})`}`, () => {
  let server: NatsServer;
  let candidates: Candidate[] = [];
  let terms: number[] = [];
  let together = 0;
  let watching: NodeJS.Timeout;

  beforeEach(async () => {
    server = await NatsServer.start();
    candidates = [];
    terms = [];
    together = 0;
    watching = setInterval(() => {
      if (leaders().length > 1) together += 1;
    }, 5);
    for (const id of ['a', 'b']) candidates.push(await join(id));
    await eventually(() => {
      expect(leaders().length).toBe(1);
      expect(candidates.map(({ lease }) => lease.highestTerm)).toEqual([1, 1]);
    });
  });

  afterEach(async () => {
    clearInterval(watching);
    for (const { lease, bus } of candidates) {
      await lease.stop();
      await bus.close();
    }
    await server.stop();
    expect(together, 'looks at which two led').toBe(0);
    expect(terms).toEqual([...new Set(terms)].sort((x, y) => x - y));
  });

  async function join(id: string): Promise<Candidate> {
    const bus = await NatsBus.connect({ servers: [server.url], name: id, cluster: 'c', onError: () => undefined });
    const lease = new Lease({
      bucket: await bus.bucket('control'),
      controllerId: id,
      now: () => performance.now(),
      wallClock: Date.now,
      onLead: (term) => terms.push(term),
      onFollow: () => undefined,
      onError: () => undefined,
    });
    lease.start();
    return { id, lease, bus };
  }

  function leaders(): Candidate[] {
    return candidates.filter(({ lease }) => lease.term !== null);
  }

  test('when the leader is cut off without a word, the other leads within 5 s', async () => {
    const [leader] = leaders();
    const died = performance.now();
    await leader!.bus.close(); // Its lease stays as it is: nothing gives it up.
    await eventually(() => expect(leaders().map(({ id }) => id)).not.toEqual([leader!.id]), 5_000);
    await eventually(() => expect(leaders().length).toBe(1), 5_000 - (performance.now() - died));
    expect(leaders()[0]).not.toBe(leader);
  });

  test('when the leader stops, the other leads', async () => {
    const [leader] = leaders();
    await leader!.lease.stop();
    await eventually(() => expect(leaders().length).toBe(1), 10_000);
  });

  test('after kill -9 of the server and its return with its data, one leads under the next term at the latest', async () => {
    await server.signal('SIGKILL');
    await eventually(() => expect(leaders().length).toBe(0), 5_000);
    await server.restart();
    await eventually(() => expect(leaders().length).toBe(1), 10_000);
    expect(terms).toEqual([1, 2]);
  });

  test('after the server lost its data, one leads and terms do not begin again', async () => {
    await server.signal('SIGKILL');
    await eventually(() => expect(leaders().length).toBe(0), 5_000);
    await server.loseState();
    await server.restart();
    await eventually(() => expect(leaders().length).toBe(1), 10_000);
    expect(terms.at(-1)).toBeGreaterThan(1);
  });

  test('a server that stands still for 3 s costs at most the leadership, never two leaders', async () => {
    await server.signal('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await server.signal('SIGCONT');
    await eventually(() => expect(leaders().length).toBe(1), 10_000);
  });
});
