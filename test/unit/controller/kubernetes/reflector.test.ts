import { describe, expect, it } from 'vitest';
import { KubeError, type RawObject, type WatchEvent } from '../../../../controller/kubernetes/api/kube-api.ts';
import { Reflector } from '../../../../controller/kubernetes/operate/reflector.ts';

/** An API server that answers as the test says, one call after the other. */
class ScriptedServer {
  readonly calls: string[] = [];
  readonly #answers: readonly (() => unknown)[];
  #next = 0;
  #onEvent: (event: WatchEvent) => void = () => {};
  readonly done: Promise<void>;
  #finish: () => void = () => {};

  constructor(answers: readonly (() => unknown)[]) {
    this.#answers = answers;
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  send(...events: readonly WatchEvent[]): void {
    for (const event of events) this.#onEvent(event);
  }

  list = async () => {
    this.calls.push('list');
    return (await this.#answer()) as { items: readonly RawObject[]; resourceVersion: string };
  };

  watch = async (_: string, version: string, onEvent: (event: WatchEvent) => void) => {
    this.calls.push(`watch ${version}`);
    this.#onEvent = onEvent;
    await this.#answer();
  };

  #answer(): unknown {
    const answer = this.#answers[this.#next++];
    if (answer !== undefined) return answer();
    this.#finish();
    return new Promise(() => {});
  }
}

const object = (name: string, resourceVersion: string): RawObject => ({ metadata: { name, resourceVersion } });
const listed =
  (resourceVersion: string, ...names: readonly string[]) =>
  () => ({
    items: names.map((name) => object(name, resourceVersion)),
    resourceVersion,
  });
const fails = (error: unknown) => () => {
  throw error;
};
const ends = () => undefined;

async function follow(answers: (server: () => ScriptedServer) => readonly (() => unknown)[]) {
  const delays: number[] = [];
  const changes: string[] = [];
  const errors: string[] = [];
  const server: ScriptedServer = new ScriptedServer(answers(() => server));
  const reflector = new Reflector<RawObject>({
    api: server,
    kind: 'pods',
    read: (raw) => (raw.metadata.name.startsWith('bad') ? null : raw),
    onChange: ({ metadata }) => changes.push(metadata.name),
    onError: (_, error) => errors.push(String(error)),
    random: () => 1,
    clock: {
      now: () => 0,
      after: (ms, callback) => {
        delays.push(ms);
        queueMicrotask(callback);
        return () => {};
      },
    },
  });
  void reflector.run();
  await server.done;
  reflector.stop();
  return { ...{ delays, changes, errors, calls: server.calls }, names: [...reflector.items.keys()], reflector };
}

const expired = new KubeError('watching pods', 410, 'too old resource version');
const away = new KubeError('GET pods', 0, 'connect ECONNREFUSED');

describe('a reflector', () => {
  it('goes on where a watch that the server ended stood', async () => {
    const { calls, errors, names } = await follow((server) => [
      listed('5', 'a'),
      () => server().send({ type: 'ADDED', object: object('b', '6') }, { type: 'BOOKMARK', object: object('', '9') }),
    ]);
    expect(calls).toEqual(['list', 'watch 5', 'watch 9']);
    expect(names).toEqual(['a', 'b']);
    expect(errors).toEqual([]);
  });

  it('lists again at once when what it stood at has expired, and says nothing of it', async () => {
    const { calls, errors, delays, names, changes } = await follow(() => [
      listed('5', 'a', 'b'),
      fails(expired),
      listed('90', 'b', 'c'),
      ends,
    ]);
    expect(calls).toEqual(['list', 'watch 5', 'list', 'watch 90', 'watch 90']);
    expect(names).toEqual(['b', 'c']);
    expect(changes).toEqual(['a', 'b', 'a', 'b', 'c']);
    expect(errors).toEqual([]);
    expect(delays[0]).toBeLessThanOrEqual(250);
  });

  it('keeps what it saw last while the server is away, and asks less and less often', async () => {
    const { names, delays, errors } = await follow(() => [
      listed('5', 'a'),
      fails(away),
      ...Array.from({ length: 9 }, () => fails(away)),
    ]);
    expect(names).toEqual(['a']);
    expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(errors).toHaveLength(10);
  });

  it('asks often again once something came', async () => {
    const { delays } = await follow((server) => [
      fails(away),
      fails(away),
      listed('5', 'a'),
      () => {
        server().send({ type: 'MODIFIED', object: object('a', '6') });
        throw away;
      },
    ]);
    expect(delays).toEqual([250, 500, 250]);
  });

  it('forgets what is deleted', async () => {
    const { names, changes } = await follow((server) => [
      listed('5', 'a', 'b'),
      () => server().send({ type: 'DELETED', object: object('a', '6') }),
    ]);
    expect(names).toEqual(['b']);
    expect(changes).toEqual(['a', 'b', 'a']);
  });

  it('leaves out what it cannot read, and goes on', async () => {
    const { names } = await follow(() => [listed('5', 'bad', 'a')]);
    expect(names).toEqual(['a']);
  });
});
