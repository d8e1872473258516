import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as dial, nkeys } from 'nats';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Bus } from '../../../platform/bus/bus.ts';
import { NatsBus, type NatsBusOptions } from '../../../platform/bus/nats-bus.ts';
import { findNatsServer, NatsServer, natsServerMissing } from '../nats-server.ts';
import { busContract, bytes, eventually, text, WatchLog } from './contract.ts';

const available = findNatsServer() !== null;
const note = available ? '' : ` (${natsServerMissing})`;

const CALL_DEADLINE_MS = 2_000;

let clusters = 0;
const open: Bus[] = [];
const errors: string[] = [];

function optionsFor(server: NatsServer, cluster = `c${clusters++}`): NatsBusOptions {
  return {
    servers: [server.url],
    name: 'test',
    cluster,
    deadlineMs: CALL_DEADLINE_MS,
    onError: (what, error) => errors.push(`${what}: ${String(error)}`),
  };
}

async function connect(options: NatsBusOptions): Promise<Bus> {
  const bus = await NatsBus.connect(options);
  open.push(bus);
  return bus;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((bus) => bus.close()));
});

describe.skipIf(!available)(`NatsBus${note}`, () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.stop());

  busContract('NatsBus', () => {
    const options = optionsFor(server);
    return {
      connect: () => connect(options),
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    };
  });

  test('clusters with different names do not meet', async () => {
    const a = await (await connect(optionsFor(server))).bucket('plans');
    const b = await (await connect(optionsFor(server))).bucket('plans');
    await a.put('x', bytes('1'));
    expect(await b.get('x')).toBeNull();
  });

  test('a value that is too large for the server is refused, and the bus goes on', async () => {
    const bucket = await (await connect(optionsFor(server))).bucket('plans');
    await expect(bucket.put('a', new Uint8Array(2 ** 21))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await bucket.put('a', bytes('1'))).toBeGreaterThan(0);
  });

  test('a bucket that someone deleted on the server is made again, and watchers are notified', async () => {
    const options = { ...optionsFor(server), checkMs: 300 };
    const bucket = await (await connect(options)).bucket('plans');
    const [log, otherLog] = [new WatchLog(bucket), new WatchLog(await (await connect(options)).bucket('plans'))];
    await bucket.put('a', bytes('1'));
    await eventually(() => expect([log.state, otherLog.state]).toEqual([{ a: '1' }, { a: '1' }]));
    const admin = await dial({ servers: server.url });
    await (await admin.jetstreamManager()).streams.delete(`KV_conclave-v1-${options.cluster}-plans`);
    await admin.close();
    await eventually(() => bucket.put('b', bytes('1')).then(() => undefined));
    await eventually(() => expect([log.state, otherLog.state]).toEqual([{ b: '1' }, { b: '1' }]));
  });
});

describe.skipIf(!available)(`NatsBus and a server that fails${note}`, () => {
  let server: NatsServer;
  afterEach(() => server.stop());

  async function world() {
    server = await NatsServer.start();
    const options = optionsFor(server);
    const [one, two] = [await connect(options), await connect(options)];
    const [mine, theirs] = [await one.bucket('plans'), await two.bucket('plans')];
    const log = new WatchLog(mine);
    const states: string[] = [];
    one.onState((state) => states.push(state));
    await theirs.put('kept', bytes('1'));
    await theirs.put('changed', bytes('1'));
    await theirs.put('deleted', bytes('1'));
    await eventually(() => expect(log.state).toEqual({ kept: '1', changed: '1', deleted: '1' }));
    return { options, one, two, mine, theirs, log, states };
  }

  test('after kill -9 and a restart, watchers are notified of exactly what they missed', async () => {
    const { options, one, two, mine, log, states } = await world();
    const before = log.lines.length;
    await server.signal('SIGKILL');
    await eventually(() => expect([one.state, two.state]).toEqual(['reconnecting', 'reconnecting']));
    const started = performance.now();
    await expect(mine.put('kept', bytes('2'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(one.bucket('workers')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(performance.now() - started).toBeLessThan(CALL_DEADLINE_MS); // At once: neither waited for its deadline.
    one.publish('conclave.v1.x.events', bytes('lost'));
    expect(one.droppedEvents).toBe(1);

    await server.restart();
    // Someone who reconnects earlier changes things before the watcher is back.
    const third = await (await connect(options)).bucket('plans');
    await third.put('changed', bytes('2'));
    await third.delete('deleted');
    await third.put('added', bytes('1'));
    await eventually(() => expect([one.state, two.state]).toEqual(['connected', 'connected']), 15_000);
    await eventually(() => expect(log.state).toEqual({ kept: '1', changed: '2', added: '1' }));
    expect(log.lines.slice(before).sort()).toEqual(['added=1', 'changed=2', 'deleted gone']);
    expect(log.lines.filter((line) => line === 'ready').length).toBe(1);
    expect(states).toEqual(['reconnecting', 'connected']);
    await mine.put('kept', bytes('2'));
    await eventually(() => expect(log.state['kept']).toBe('2'));
  });

  test('a server that comes back with nothing is filled again and everything converges', async () => {
    const { one, two, mine, theirs, log } = await world();
    const revision = (await mine.get('kept'))!.revision;
    await server.signal('SIGKILL');
    await server.loseState();
    await eventually(() => expect(one.state).toBe('reconnecting'));
    await server.restart();
    await eventually(() => expect([one.state, two.state]).toEqual(['connected', 'connected']), 15_000);
    await eventually(() => expect(log.state).toEqual({}));
    expect(await mine.update('kept', bytes('x'), revision)).toBeNull();
    expect(await theirs.create('kept', bytes('3'))).toBe(1);
    await eventually(() => expect(log.state).toEqual({ kept: '3' }));
  });

  test('keys that their writers put back in time are never reported as gone, others are', async () => {
    const { one, two } = await world();
    const [mine, theirs] = [await one.bucket('reports'), await two.bucket('reports')];
    const log = new WatchLog(mine);
    await theirs.put('back', bytes('1'));
    await theirs.put('lost', bytes('1'));
    await theirs.put('deleted', bytes('1'));
    await eventually(() => expect(log.state).toEqual({ back: '1', lost: '1', deleted: '1' }));
    await theirs.delete('deleted');
    await server.signal('SIGKILL');
    await server.loseState();
    await server.restart();
    await eventually(() => expect([one.state, two.state]).toEqual(['connected', 'connected']), 15_000);
    await theirs.put('back', bytes('2'));
    await eventually(() => expect(log.state).toEqual({ back: '2', lost: '1' }));
    await eventually(() => expect(log.state).toEqual({ back: '2' }), 10_000);
    expect(log.lines).not.toContain('back gone');
  });

  test('many kills in a row lose nothing', async () => {
    const { one, theirs, two, log } = await world();
    const subscription: string[] = [];
    one.subscribe('conclave.v1.x.events', (payload) => subscription.push(text(payload) ?? ''));
    for (let round = 0; round < 5; round++) {
      await server.signal('SIGKILL');
      await server.restart();
      await eventually(() => expect(two.state).toBe('connected'), 15_000);
      await eventually(() => theirs.put('changed', bytes(`round ${round}`)).then(() => undefined), 15_000);
    }
    await eventually(() => expect(log.state).toMatchObject({ kept: '1', changed: 'round 4' }), 15_000);
    await eventually(() => {
      two.publish('conclave.v1.x.events', bytes('back'));
      expect(subscription).toContain('back');
    }, 15_000);
  });

  test('calls to a frozen server fail within the deadline, and it is used again once it thaws', async () => {
    const { mine, one, log } = await world();
    await server.signal('SIGSTOP');
    await expect(mine.put('kept', bytes('late'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await eventually(() => expect(one.state).toBe('reconnecting'), 15_000);
    await server.signal('SIGCONT');
    await eventually(() => expect(one.state).toBe('connected'), 15_000);
    await eventually(() => mine.put('kept', bytes('2')).then(() => undefined));
    await eventually(() => expect(log.state['kept']).toBe('2'));
  });

  test('connecting waits for a server that is not there yet, and can be given up', async () => {
    server = await NatsServer.start();
    const options = optionsFor(server);
    await server.signal('SIGKILL');
    const abort = new AbortController();
    const given = NatsBus.connect(options, abort.signal);
    const waiting = connect(options);
    setTimeout(() => abort.abort(), 300);
    await expect(given).rejects.toMatchObject({ code: 'CLOSED' });
    await server.restart();
    expect((await waiting).state).toBe('connected');
  });

  test('wrong credentials are refused at once, right ones are not', async () => {
    server = await NatsServer.start(['--user', 'conclave', '--pass', 'secret']);
    const options = optionsFor(server);
    await expect(NatsBus.connect(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(NatsBus.connect({ ...options, user: 'conclave', password: 'wrong' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect((await connect({ ...options, user: 'conclave', password: 'secret' })).state).toBe('connected');
  });

  test('a token, or an nkey from a file, lets the client in', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'conclave-nkey-'));
    try {
      const user = nkeys.createUser();
      const nkeyFile = join(folder, 'user.nk');
      await writeFile(nkeyFile, new TextDecoder().decode(user.getSeed()));
      await writeFile(
        join(folder, 'nats.conf'),
        `authorization { users = [ { nkey: ${user.getPublicKey()} }, { user: x, password: y } ] }`,
      );
      server = await NatsServer.start(['-c', join(folder, 'nats.conf')]);
      const options = optionsFor(server);
      await expect(NatsBus.connect(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect((await connect({ ...options, nkeyFile })).state).toBe('connected');
      await expect(NatsBus.connect({ ...options, nkeyFile, user: 'x' })).rejects.toThrow('expected one of');
      await server.stop();
      server = await NatsServer.start(['--auth', 'open sesame']);
      await expect(NatsBus.connect({ ...optionsFor(server), token: 'no' })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
      expect((await connect({ ...optionsFor(server), token: 'open sesame' })).state).toBe('connected');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a missing credentials file is named', async () => {
    server = await NatsServer.start();
    const options = { ...optionsFor(server), credentialsFile: '/nowhere/user.creds' };
    await expect(NatsBus.connect(options)).rejects.toThrow('/nowhere/user.creds');
  });
});
