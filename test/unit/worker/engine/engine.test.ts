import { beforeEach, describe, expect, it } from 'vitest';
import type { StepOutput } from '../../../../native/native.ts';
import { createEngine, type Engine, type EngineOptions } from '../../../../worker/engine/engine.ts';
import type { EngineObserver } from '../../../../worker/engine/run/observer.ts';
import type { StepExecutor } from '../../../../worker/engine/step/executor.ts';
import { HistoryExecutor, nextToken } from './history-executor.ts';
import { ManualClock } from './manual-clock.ts';
import { collect, collected, runRequest } from './run-request.ts';

const vocabSize = 97;
const eos = 5;
const cacheLimits = { kvBlocks: 64, blockSize: 4, stateSlots: 0 };
const never = new AbortController().signal;
const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let clock: ManualClock;
let events: string[];
let executor: HistoryExecutor;

beforeEach(() => {
  clock = new ManualClock();
  events = [];
  executor = new HistoryExecutor(cacheLimits, vocabSize);
});

const observer: EngineObserver = {
  onStep: () => {},
  onPreemption: (id) => events.push(`preempted ${id}`),
  onStarted: (id, queueMs) => events.push(`started ${id} after ${queueMs}`),
  onFirstToken: (id, index, ms) => events.push(`first token of ${id}.${index} after ${ms}`),
  onFinished: ({ requestId, index, reason }) =>
    events.push(`${requestId}.${index} ${reason.replace('FINISH_REASON_', '')}`),
  onStepFailed: (_, retried, failed) => events.push(`retried [${retried.join()}] failed [${failed.join()}]`),
  onFault: (error) => events.push(`fault: ${String(error)}`),
};

function engineWith(limits: Partial<EngineOptions['limits']> = {}, on: StepExecutor = executor): Engine {
  return createEngine({
    executor: on,
    model: { vocabSize, eosTokenIds: [eos] },
    limits: { maxModelLen: 64, maxSequences: 8, maxBatchedTokens: 16, ...limits },
    clock,
    observer,
    salt: 1,
  });
}

/** Computes steps until none is started any more. */
async function settle(most = Number.POSITIVE_INFINITY): Promise<void> {
  for (let steps = 0; ; steps++) {
    await flush();
    const step = executor.pending[0];
    if (step === undefined || steps === most) return;
    step.succeed();
  }
}

/** What the "model" generates alone. */
function reference(prompt: readonly number[], count: number): number[] {
  const history = [...prompt];
  while (history.length < prompt.length + count) history.push(nextToken(history, 0, 0, vocabSize));
  return history.slice(prompt.length);
}

const prompt = [1, 2, 3, 4, 6, 7, 8, 9, 10];
const endless = (id: string) => runRequest(id, prompt, { ignoreEos: true });
const idle = { running: 0, waiting: 0, held: 0, stepsInFlight: 0, kvBlocksUsed: 0 };

describe('a request', () => {
  it('gets the tokens that the model generates', async () => {
    const engine = engineWith();
    const result = collect(
      engine.run(runRequest('a', prompt, { maxTokens: 10, ignoreEos: true }), never),
      collected(1),
    );
    await settle();
    expect((await result).tokens).toEqual([reference(prompt, 10)]);
    expect((await result).reasons).toEqual(['FINISH_REASON_LENGTH']);
    expect(executor.violation).toBeNull();
    expect(engine.snapshot()).toMatchObject(idle);
  });

  it('shares its first step with those that arrive together', async () => {
    const engine = engineWith();
    const results = ['a', 'b', 'c'].map((id) =>
      collect(engine.run(runRequest(id, [1, 2, 3], { maxTokens: 1 }), never), collected(1)),
    );
    await settle();
    await Promise.all(results);
    expect(executor.steps).toBe(1);
  });

  it('ends with its stop token as the last one', async () => {
    const engine = engineWith();
    const output = reference(prompt, 10);
    const stop = output[6]!;
    const result = collect(
      engine.run(runRequest('a', prompt, { stopTokenIds: [stop], ignoreEos: true }), never),
      collected(1),
    );
    await settle();
    expect((await result).tokens).toEqual([output.slice(0, output.indexOf(stop) + 1)]);
    expect((await result).reasons).toEqual(['FINISH_REASON_STOP']);
  });

  it('ends where the context ends', async () => {
    const engine = engineWith({ maxModelLen: 12 });
    const result = collect(engine.run(endless('a'), never), collected(1));
    await settle();
    expect((await result).tokens).toEqual([reference(prompt, 3)]);
    expect((await result).reasons).toEqual(['FINISH_REASON_LENGTH']);
  });

  it('with max_tokens 0 only caches and scores its prompt', async () => {
    const engine = engineWith();
    const request = runRequest('a', prompt, { maxTokens: 0, promptLogprobs: 0 });
    const result = collect(engine.run(request, never), collected(1));
    await settle();
    const { tokens, reasons, promptLogprobs } = await result;
    expect([tokens, reasons]).toEqual([[[]], ['FINISH_REASON_LENGTH']]);
    expect(promptLogprobs.map(({ tokenId }) => tokenId)).toEqual([undefined, ...prompt.slice(1)]);
  });

  it('says on its first response what was cached and how long it waited', async () => {
    const engine = engineWith();
    const first = collect(engine.run(runRequest('a', prompt, { maxTokens: 2 }), never), collected(1));
    await settle();
    await first;
    const blocker = engine.run(endless('b'), never);
    void blocker.next();
    await flush();
    const second = collect(engine.run(runRequest('c', prompt, { maxTokens: 2 }), never), collected(1));
    clock.advance(30);
    await settle(4);
    await second;
    expect((await second).responses.map(({ cachedTokens, queueMs }) => [cachedTokens, queueMs])).toEqual([
      [8, 30],
      [0, 0],
    ]);
    expect(engine.snapshot()).toMatchObject({ prefixQueriedTokens: 27, prefixHitTokens: 16 });
    await blocker.return();
  });

  it('that is resumed goes on where it was', async () => {
    const engine = engineWith();
    const output = reference(prompt, 10);
    const request = runRequest(
      'a',
      prompt,
      { maxTokens: 10, ignoreEos: true },
      {},
      { outputTokenIds: [{ ids: output.slice(0, 4) }] },
    );
    const result = collect(engine.run(request, never), collected(1));
    await settle();
    expect((await result).tokens).toEqual([output.slice(4)]);
  });

  it('that is resumed after its end gets its finish reason, and computes nothing', async () => {
    const engine = engineWith();
    const outputTokenIds = [{ ids: [1, eos] }, { ids: [1, 2, 3] }];
    const result = await collect(
      engine.run(runRequest('a', prompt, { maxTokens: 3 }, {}, { n: 2, outputTokenIds }), never),
      collected(2),
    );
    expect(result.reasons).toEqual(['FINISH_REASON_STOP', 'FINISH_REASON_LENGTH']);
    expect(executor.steps).toBe(0);
  });

  it('is refused when its id is running, and accepted when it no longer is', async () => {
    const engine = engineWith();
    const first = engine.run(endless('a'), never);
    void first.next();
    await expect(engine.run(endless('a'), never).next()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await first.return();
    const again = collect(engine.run(runRequest('a', prompt, { maxTokens: 2 }), never), collected(1));
    await settle();
    expect((await again).tokens).toEqual([reference(prompt, 2)]);
  });

  it('is refused when too many are held already', async () => {
    const engine = engineWith({ maxSequences: 1, maxWaiting: 2 });
    const accepted = ['a', 'b', 'c'].map((id) => engine.run(endless(id), never));
    for (const run of accepted) void run.next();
    await expect(engine.run(endless('d'), never).next()).rejects.toMatchObject({ code: 'OVERLOADED' });
    await accepted[2]!.return();
    const next = engine.run(endless('e'), never);
    void next.next();
    expect(engine.snapshot()).toMatchObject({ running: 1, waiting: 2 });
    await Promise.all([engine.stop(), settle()]);
  });
});

describe('a request that is given up', () => {
  it('before its step returns frees its blocks when it does', async () => {
    const engine = engineWith();
    const run = engine.run(endless('a'), never);
    void run.next();
    await flush();
    await run.return();
    expect(engine.snapshot()).toMatchObject({ running: 1, stepsInFlight: 1, kvBlocksUsed: 3 });
    await settle();
    expect(engine.snapshot()).toMatchObject(idle);
    expect(events.at(-1)).toBe('a.0 CANCELLED');
  });

  it('by its signal ends so for each sequence', async () => {
    const engine = engineWith();
    const abort = new AbortController();
    const result = collect(engine.run({ ...endless('a'), n: 3 }, abort.signal), collected(3));
    await settle(3);
    abort.abort();
    expect((await result).reasons).toEqual(new Array(3).fill('FINISH_REASON_CANCELLED'));
    await settle();
    expect(engine.snapshot()).toMatchObject(idle);
  });

  it('of one sequence frees its blocks at once, and its siblings go on', async () => {
    const engine = engineWith();
    const request = runRequest('a', prompt, { maxTokens: 20, ignoreEos: true }, {}, { n: 3 });
    const result = collect(engine.run(request, never), collected(3));
    await settle(6);
    // Between steps, a stopped sequence's own blocks are free before anything else happens.
    const before = engine.snapshot();
    expect(before).toMatchObject({ running: 3, stepsInFlight: 1 });
    engine.stopSequence('a', 1);
    engine.stopSequence('a', 1);
    expect(engine.snapshot().running).toBe(3);
    executor.pending[0]!.succeed();
    await flush();
    const after = engine.snapshot();
    expect(after.running).toBe(2);
    expect(after.kvBlocksUsed).toBeLessThan(before.kvBlocksUsed);
    await settle();
    const { tokens, reasons } = await result;
    expect(reasons).toEqual(['FINISH_REASON_LENGTH', 'FINISH_REASON_STOP', 'FINISH_REASON_LENGTH']);
    expect(tokens[0]).toEqual(reference(prompt, 20));
    expect(tokens[2]).toEqual(reference(prompt, 20));
    expect(tokens[1]).toEqual(reference(prompt, 20).slice(0, tokens[1]!.length));
    expect(tokens[1]!.length).toBeLessThan(20);
    expect(engine.snapshot()).toMatchObject(idle);
  });

  it('of a sequence that waits takes it out of the queue', async () => {
    const engine = engineWith({ maxSequences: 1 });
    const result = collect(engine.run({ ...endless('a'), n: 2 }, never), collected(2));
    await settle(4);
    expect(engine.snapshot()).toMatchObject({ running: 1, waiting: 1 });
    engine.stopSequence('a', 1);
    expect(engine.snapshot()).toMatchObject({ running: 1, waiting: 0, held: 0 });
    await settle();
    expect((await result).reasons).toEqual(['FINISH_REASON_LENGTH', 'FINISH_REASON_STOP']);
  });

  it('of a sequence or request that does not run changes nothing', async () => {
    const engine = engineWith();
    engine.stopSequence('a', 0);
    const result = collect(engine.run(runRequest('a', prompt, { maxTokens: 4, ignoreEos: true }), never), collected(1));
    await settle(2);
    engine.stopSequence('a', 1);
    engine.stopSequence('b', 0);
    await settle();
    expect((await result).reasons).toEqual(['FINISH_REASON_LENGTH']);
  });

  it('before it starts is not started', async () => {
    const engine = engineWith();
    const result = await collect(engine.run(endless('a'), AbortSignal.abort()), collected(1));
    expect(result.reasons).toEqual(['FINISH_REASON_CANCELLED']);
    expect(engine.snapshot()).toMatchObject(idle);
    expect(executor.steps).toBe(0);
  });

  it('a thousand times leaks no block', async () => {
    const engine = engineWith({ maxWaiting: 100 });
    for (let i = 0; i < 1000; i++) {
      const abort = new AbortController();
      const run = engine.run({ ...endless(`r${i}`), n: 1 + (i % 3) }, abort.signal);
      const first = run.next();
      await settle(i % 5);
      if (i % 2 === 0) abort.abort();
      else await run.return();
      await Promise.race([first, flush()]);
    }
    await settle();
    expect(engine.snapshot()).toMatchObject(idle);
    expect(executor.violation).toBeNull();
  });
});

describe('a slow consumer', () => {
  it('pauses its sequence, gets everything in few responses later, and holds nobody else up', async () => {
    const engine = engineWith({ maxUnreadTokens: 4 });
    const slow = engine.run(runRequest('slow', prompt, { maxTokens: 20, ignoreEos: true }), never);
    const taken = [(await Promise.all([slow.next(), settle()]))[0].value!.tokenIds];
    expect(engine.snapshot()).toMatchObject({ running: 0, held: 1, kvBlocksUsed: 0 });
    const other = collect(
      engine.run(runRequest('other', prompt, { maxTokens: 20, ignoreEos: true }), never),
      collected(1),
    );
    await settle();
    expect((await other).tokens).toEqual([reference(prompt, 20)]);
    for (let next = slow.next(); ; next = slow.next()) {
      await settle();
      const { done, value } = await next;
      if (done === true) break;
      taken.push(value.tokenIds);
    }
    expect(taken.flat()).toEqual(reference(prompt, 20));
    expect(Math.max(...taken.map(({ length }) => length))).toBe(5);
  });

  it('is not cancelled as long as it reads now and then', async () => {
    const engine = engineWith({ maxUnreadTokens: 4, stallTimeoutMs: 1000 });
    const slow = engine.run(runRequest('slow', prompt, { maxTokens: 20, ignoreEos: true }), never);
    const tokens: number[] = [];
    for (;;) {
      const [{ done, value }] = await Promise.all([slow.next(), settle()]);
      if (done === true) break;
      tokens.push(...value.tokenIds);
      clock.advance(999);
    }
    expect(tokens).toEqual(reference(prompt, 20));
  });

  it('that never comes back is cancelled', async () => {
    const engine = engineWith({ maxUnreadTokens: 4, stallTimeoutMs: 1000 });
    const slow = engine.run(endless('slow'), never);
    await Promise.all([slow.next(), settle()]);
    clock.advance(999);
    expect(engine.snapshot()).toMatchObject({ held: 1 });
    clock.advance(1);
    expect(engine.snapshot()).toMatchObject(idle);
    expect(events.at(-1)).toBe('slow.0 CANCELLED');
    expect(clock.waiting).toBe(0);
  });
});

describe('a failed step', () => {
  it('is tried again after a while that doubles until a step succeeds', async () => {
    const engine = engineWith();
    const result = collect(engine.run(runRequest('a', prompt, { maxTokens: 3, ignoreEos: true }), never), collected(1));
    for (const delay of [20, 40, 80]) {
      await flush();
      executor.pending[0]!.fail('PEER_LOST');
      await flush();
      clock.advance(delay - 1);
      await flush();
      expect(executor.pending).toEqual([]);
      clock.advance(1);
    }
    await flush();
    executor.pending[0]!.succeed();
    await flush();
    executor.pending[0]!.fail('PEER_LOST');
    await flush();
    clock.advance(20);
    await settle();
    expect((await result).tokens).toEqual([reference(prompt, 3)]);
    expect(events.filter((line) => line.startsWith('retried'))).toEqual(new Array(4).fill('retried [a] failed []'));
  });

  it('ends the sequence with an error after too many tries, and the engine goes on', async () => {
    const engine = engineWith({ maxStepRetries: 1 });
    const result = collect(engine.run(endless('a'), never), collected(1));
    for (let attempt = 0; attempt < 2; attempt++) {
      await flush();
      executor.pending[0]!.fail('PEER_LOST');
      await flush();
      clock.advance(1000);
    }
    expect((await result).reasons).toEqual(['FINISH_REASON_ERROR']);
    const next = collect(engine.run(runRequest('b', prompt, { maxTokens: 3, ignoreEos: true }), never), collected(1));
    await settle();
    expect((await next).tokens).toEqual([reference(prompt, 3)]);
  });

  const output = (change: Partial<StepOutput>): StepOutput => ({
    tokens: Int32Array.of(1),
    logprobs: Float32Array.of(0),
    topOffsets: Int32Array.of(0, 0),
    topTokens: new Int32Array(0),
    topLogprobs: new Float32Array(0),
    ...change,
  });
  const wrong: readonly [string, () => Promise<StepOutput>][] = [
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects without a code', () => Promise.reject(new Error('no code'))],
    ['returns too few tokens', () => Promise.resolve(output({ tokens: new Int32Array(0) }))],
    ['returns an unknown token', () => Promise.resolve(output({ tokens: Int32Array.of(vocabSize) }))],
    ['promises alternatives it does not return', () => Promise.resolve(output({ topOffsets: Int32Array.of(0, 3) }))],
  ];
  it.each(wrong)('of an executor that %s ends its only sequence with an error', async (_, execute) => {
    const engine = engineWith({}, { limits: cacheLimits, execute });
    const { reasons } = await collect(engine.run(endless('a'), never), collected(1));
    expect(reasons).toEqual(['FINISH_REASON_ERROR']);
    expect(engine.snapshot()).toMatchObject(idle);
  });
});

describe('an executor that is closed', () => {
  it('ends everything with an error, and the engine with it', async () => {
    const engine = engineWith({ maxSequences: 1 });
    const results = ['a', 'b'].map((id) => collect(engine.run(endless(id), never), collected(1)));
    await flush();
    executor.pending[0]!.fail('CLOSED');
    for (const result of results) expect((await result).reasons).toEqual(['FINISH_REASON_ERROR']);
    expect(events.at(-1)).toBe('fault: Error: step failed: CLOSED');
    await expect(engine.run(endless('c'), never).next()).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(engine.snapshot()).toMatchObject({ ...idle, accepting: false });
    await engine.close(0);
  });
});

describe('an engine that closes', () => {
  it('finishes what it has accepted and takes nothing new', async () => {
    const engine = engineWith({ maxSequences: 1 });
    const results = ['a', 'b'].map((id) =>
      collect(engine.run(runRequest(id, prompt, { maxTokens: 3, ignoreEos: true }), never), collected(1)),
    );
    const closed = engine.close(1000);
    await expect(engine.run(endless('c'), never).next()).rejects.toMatchObject({ code: 'CLOSED' });
    await settle();
    await closed;
    for (const result of results) expect((await result).reasons).toEqual(['FINISH_REASON_LENGTH']);
    expect(clock.waiting).toBe(0);
  });

  it('ends with an error what takes longer than the deadline', async () => {
    const engine = engineWith();
    const result = collect(engine.run(endless('a'), never), collected(1));
    await settle(2);
    const closed = engine.close(1000);
    clock.advance(1000);
    expect((await result).reasons).toEqual(['FINISH_REASON_ERROR']);
    await settle();
    await closed;
    expect(engine.snapshot()).toMatchObject({ ...idle, accepting: false });
  });

  it('at once waits for the step in flight alone', async () => {
    const engine = engineWith();
    const result = collect(engine.run(endless('a'), never), collected(1));
    await flush();
    let stopped = false;
    const stop = engine.stop().then(() => (stopped = true));
    expect((await result).reasons).toEqual(['FINISH_REASON_ERROR']);
    expect(stopped).toBe(false);
    await settle(1);
    await stop;
    await engine.stop();
    await engine.close(0);
  });
});

describe('an engine that broke', () => {
  it('ends everything with an error and refuses what comes', async () => {
    const broken: EngineObserver = {
      ...observer,
      onFirstToken: () => {
        throw new Error('impossible');
      },
    };
    const engine = createEngine({
      executor,
      model: { vocabSize, eosTokenIds: [] },
      limits: { maxModelLen: 64, maxSequences: 1 },
      clock,
      observer: broken,
    });
    const results = ['a', 'b'].map((id) => collect(engine.run(endless(id), never), collected(1)));
    await settle();
    for (const result of results) expect((await result).reasons).toEqual(['FINISH_REASON_ERROR']);
    expect(events.at(-1)).toBe('fault: Error: impossible');
    await expect(engine.run(endless('c'), never).next()).rejects.toMatchObject({ code: 'INTERNAL' });
    await engine.close(0);
  });
});

describe('limits', () => {
  it('let no more sequences run than a step has rows', async () => {
    const engine = engineWith({ maxSequences: 20, maxBatchedTokens: 2 });
    expect(engine.limits.maxSequences).toBe(2);
    const results = ['a', 'b', 'c'].map((id) =>
      collect(engine.run(runRequest(id, prompt, { maxTokens: 3, ignoreEos: true }), never), collected(1)),
    );
    await settle();
    for (const result of results) expect((await result).tokens).toEqual([reference(prompt, 3)]);
  });

  it('that contradict each other are refused, all of them at once', () => {
    const limits = { maxModelLen: 1000, maxInFlight: 0 };
    expect(() => engineWith(limits)).toThrow(
      'maxInFlight: expected an integer of at least 1, got 0; ' +
        'maxModelLen: 1000 tokens do not fit into the cache of 256 positions (64 blocks of 4)',
    );
  });
});

describe('an observer', () => {
  it('follows a request’s life', async () => {
    const engine = engineWith();
    const result = collect(engine.run(runRequest('a', prompt, { maxTokens: 2, ignoreEos: true }), never), collected(1));
    await flush();
    clock.advance(7);
    await settle();
    await result;
    expect(events).toEqual(['started a after 0', 'first token of a.0 after 7', 'a.0 LENGTH']);
  });
});
