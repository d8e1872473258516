import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RunResponse } from '../../../../proto/messages.ts';
import { createEngine, type Engine } from '../../../../worker/engine/engine.ts';
import { EngineError } from '../../../../worker/engine/request/errors.ts';
import type { EngineLimits } from '../../../../worker/engine/request/limits.ts';
import type { EngineObserver } from '../../../../worker/engine/run/observer.ts';
import { HistoryExecutor, nextToken, scoreOf } from './history-executor.ts';
import { ManualClock } from './manual-clock.ts';
import { runRequest } from './run-request.ts';

const vocabSize = 31;
const eos = 5;
const maxModelLen = 24;
/** In a batch, makes the step fail when the test says so. */
const poison = 30;

const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Prompts from two tokens, so that prefixes are often the same. */
const spec = fc.record({
  prompt: fc.array(fc.constantFrom<number>(1, 2), { minLength: 1, maxLength: 16 }),
  poisoned: fc.boolean(),
  maxTokens: fc.option(fc.nat(12), { nil: undefined }),
  n: fc.integer({ min: 1, max: 3 }),
  seed: fc.option(fc.nat(3)),
  ignoreEos: fc.boolean(),
  penalty: fc.boolean(),
  logprobs: fc.option(fc.constant(0), { nil: undefined }),
  promptLogprobs: fc.option(fc.constant(0), { nil: undefined }),
  resumedTokens: fc.nat(4),
  lazy: fc.boolean(),
});
type Spec = typeof spec extends fc.Arbitrary<infer T> ? T : never;

const action = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('submit' as const), spec }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('succeed' as const), which: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      which: fc.nat(),
      code: fc.constantFrom('PEER_LOST', 'CACHE_LOST'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(), abort: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop' as const), which: fc.nat(), index: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), which: fc.nat() }) },
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

const rigLimits = fc
  .record({
    blockSize: fc.integer({ min: 1, max: 5 }),
    spareBlocks: fc.nat(24),
    caching: fc.boolean(),
    state: fc.boolean(),
    maxSequences: fc.integer({ min: 1, max: 6 }),
    spareTokens: fc.nat(12),
    maxInFlight: fc.integer({ min: 1, max: 3 }),
    maxUnreadTokens: fc.integer({ min: 1, max: 8 }),
    maxWaiting: fc.integer({ min: 2, max: 20 }),
  })
  .map(({ spareTokens, ...rest }) => ({ ...rest, maxBatchedTokens: rest.maxSequences + spareTokens }));
type RigLimits = typeof rigLimits extends fc.Arbitrary<infer T> ? T : never;

/** What sequence `index` generates when nothing else runs. */
function reference({ prompt, seed, penalty, ignoreEos, maxTokens }: Spec, index: number): number[] {
  const most = Math.min(maxTokens ?? maxModelLen, maxModelLen - prompt.length);
  const output: number[] = [];
  const end = ignoreEos ? null : eos;
  while (output.length < most && output.at(-1) !== end) {
    output.push(nextToken([...prompt, ...output], seed ?? 0, seed === null && !penalty ? 0 : index, vocabSize));
  }
  return output;
}

class Client {
  readonly id: string;
  readonly spec: Spec;
  readonly resumed: readonly number[][];
  readonly tokens: number[][];
  readonly logprobs: number[] = [];
  readonly promptLogprobs: RunResponse['promptLogprobs'] = [];
  readonly reasons: string[];
  readonly abort = new AbortController();
  error: unknown = null;
  ended = false;
  cancelled = false;
  /** Sequences that were stopped while the client knew of no end. */
  readonly stopped = new Set<number>();
  largest = 0;
  readonly #iterator: AsyncIterableIterator<RunResponse>;
  #asking = false;
  eager: boolean;

  constructor(engine: Engine, id: string, spec: Spec) {
    this.id = id;
    this.spec = spec;
    this.eager = !spec.lazy;
    const full = Array.from({ length: spec.n }, (_, index) => reference(spec, index));
    this.resumed = full.map((output) => output.slice(0, spec.resumedTokens));
    this.tokens = full.map(() => []);
    this.reasons = full.map(() => '');
    const request = runRequest(
      id,
      spec.prompt,
      {
        ...(spec.maxTokens === undefined ? {} : { maxTokens: spec.maxTokens }),
        ...(spec.logprobs === undefined ? {} : { logprobs: spec.logprobs }),
        ...(spec.promptLogprobs === undefined ? {} : { promptLogprobs: spec.promptLogprobs }),
        ignoreEos: spec.ignoreEos,
      },
      {
        ...(spec.seed === null ? {} : { temperature: 1, seed: String(spec.seed) }),
        ...(spec.penalty ? { repetitionPenalty: 2, seed: String(spec.seed ?? 0) } : {}),
      },
      { n: spec.n, outputTokenIds: spec.resumedTokens > 0 ? this.resumed.map((ids) => ({ ids })) : [] },
    );
    this.#iterator = engine.run(request, this.abort.signal);
    this.read();
  }

  read(): void {
    if (this.#asking || this.ended) return;
    this.#asking = true;
    void this.#read();
  }

  async #read(): Promise<void> {
    try {
      const result = await this.#iterator.next();
      this.#asking = false;
      if (result.done === true) {
        this.ended = true;
        return;
      }
      const { index, tokenIds, logprobs, promptLogprobs, finishReason } = result.value;
      this.tokens[index]!.push(...tokenIds);
      if (index === 0) this.logprobs.push(...logprobs.map(({ logprob }) => logprob));
      this.promptLogprobs.push(...promptLogprobs);
      this.largest = Math.max(this.largest, tokenIds.length);
      if (finishReason !== 'FINISH_REASON_UNSPECIFIED') this.reasons[index] = finishReason;
      if (this.eager) this.read();
    } catch (error) {
      this.error = error;
      this.ended = true;
    }
  }

  cancel(abort: boolean): void {
    this.cancelled = true;
    if (abort) this.abort.abort();
    else void this.#iterator.return?.().then(() => (this.ended = true));
  }

  stop(engine: Engine, index: number): void {
    if (index < this.spec.n && this.reasons[index] === '') this.stopped.add(index);
    engine.stopSequence(this.id, index);
  }

  check(poisonable: boolean, maxUnreadTokens: number): void {
    // A sequence pauses when it reaches the limit; the step that had begun by then still counts.
    expect(this.largest).toBeLessThanOrEqual(maxUnreadTokens + 1);
    if (this.error !== null) {
      expect(this.error).toBeInstanceOf(EngineError);
      expect(this.error).toMatchObject({ code: 'OVERLOADED' });
      return;
    }
    for (let index = 0; index < this.spec.n; index++) {
      const expected = reference(this.spec, index).slice(this.resumed[index]!.length);
      const got = this.tokens[index]!;
      const reason = this.reasons[index];
      const ended = reason === 'FINISH_REASON_STOP' || reason === 'FINISH_REASON_LENGTH';
      const whole = ended && !(reason === 'FINISH_REASON_STOP' && this.stopped.has(index));
      if (!ended) expect(this.cancelled || (poisonable && reason === 'FINISH_REASON_ERROR')).toBe(true);
      expect(got).toEqual(whole ? expected : expected.slice(0, got.length));
      if (whole) {
        const last = expected.at(-1) ?? this.resumed[index]!.at(-1);
        const stopped = last === eos && !this.spec.ignoreEos;
        expect(reason).toBe(stopped ? 'FINISH_REASON_STOP' : 'FINISH_REASON_LENGTH');
      }
    }
    this.#checkScores();
  }

  #checkScores(): void {
    const { prompt } = this.spec;
    const history = [...prompt, ...this.resumed[0]!];
    const scores = this.tokens[0]!.map((token, at) => scoreOf([...history, ...this.tokens[0]!.slice(0, at)], token));
    expect(this.logprobs).toEqual(this.spec.logprobs === undefined ? [] : scores.map(Math.fround));
    const entries = prompt.map((tokenId, at) =>
      at === 0 ? { logprob: 0 } : { tokenId, logprob: Math.fround(scoreOf(prompt.slice(0, at), tokenId)) },
    );
    const got = this.promptLogprobs.map(({ tokenId, logprob }) =>
      tokenId === undefined ? { logprob } : { tokenId, logprob },
    );
    const scored = this.spec.promptLogprobs !== undefined && (got.length > 0 || wasRun(this));
    expect(got).toEqual(scored ? entries.slice(0, wasRun(this) ? entries.length : got.length) : []);
  }
}

/** Whether the first sequence ended by itself in this run. */
function wasRun(client: Client): boolean {
  if (client.stopped.has(0)) return client.tokens[0]!.length > 0;
  const ended = client.reasons[0] === 'FINISH_REASON_STOP' || client.reasons[0] === 'FINISH_REASON_LENGTH';
  return ended && (client.tokens[0]!.length > 0 || client.resumed[0]!.length === 0);
}

class Rig {
  readonly clock = new ManualClock();
  readonly executor: HistoryExecutor;
  readonly engine: Engine;
  readonly clients: Client[] = [];
  readonly started: string[] = [];
  fault: unknown = null;

  constructor(limits: RigLimits) {
    const { blockSize, spareBlocks, caching, state, ...rest } = limits;
    const kvBlocks = Math.ceil(maxModelLen / blockSize) + spareBlocks;
    const stateSlots = state ? rest.maxSequences : 0;
    this.executor = new HistoryExecutor({ kvBlocks, blockSize, stateSlots }, vocabSize, (batch) => {
      const inFlight = this.executor.pending.reduce((sum, step) => sum + step.batch.sequenceOffsets.length - 1, 0);
      expect(batch.positions.length).toBeLessThanOrEqual(rest.maxBatchedTokens);
      expect(inFlight + batch.sequenceOffsets.length - 1).toBeLessThanOrEqual(rest.maxSequences);
      expect(this.executor.pending.length).toBeLessThan(rest.maxInFlight);
    });
    const engineLimits: Partial<EngineLimits> = { ...rest, maxStepRetries: 1000, stallTimeoutMs: 1e12 };
    this.engine = createEngine({
      executor: this.executor,
      model: { vocabSize, eosTokenIds: [eos] },
      limits: { maxModelLen, ...engineLimits },
      prefixCaching: caching,
      clock: this.clock,
      salt: 1,
      observer: this.#observer(),
    });
  }

  #observer(): EngineObserver {
    const nothing = (): void => {};
    return {
      onStep: nothing,
      onPreemption: nothing,
      onStarted: (id) => this.started.push(id),
      onFirstToken: nothing,
      onFinished: nothing,
      onStepFailed: nothing,
      onFault: (error) => (this.fault = error),
    };
  }

  async act(todo: Action): Promise<void> {
    const { pending } = this.executor;
    const step = 'which' in todo ? pending[todo.which % Math.max(1, pending.length)] : undefined;
    const client = 'which' in todo ? this.clients[todo.which % Math.max(1, this.clients.length)] : undefined;
    if (todo.kind === 'submit') this.clients.push(new Client(this.engine, `r${this.clients.length}`, todo.spec));
    else if (todo.kind === 'succeed') step?.succeed();
    else if (todo.kind === 'fail') step?.fail(todo.code);
    else if (todo.kind === 'cancel') client?.cancel(todo.abort);
    else if (todo.kind === 'stop') client?.stop(this.engine, todo.index);
    else client?.read();
    await this.#pass();
  }

  /** Lets promises settle and backoffs end. */
  async #pass(): Promise<void> {
    await flush();
    this.clock.advance(1000);
    await flush();
  }

  /** Lets everything finish. Returns the steps that took. */
  async finish(
    outcome: (step: HistoryExecutor['pending'][number]) => void = (step) => step.succeed(),
  ): Promise<number> {
    let steps = 0;
    for (const client of this.clients) {
      client.eager = true;
      client.read();
    }
    await this.#pass();
    for (let step = this.executor.pending[0]; step !== undefined; step = this.executor.pending[0]) {
      outcome(step);
      await this.#pass();
      if (++steps > 5000) throw new Error('the engine does not come to an end');
    }
    return steps;
  }

  check(poisonable: boolean): void {
    expect(this.fault).toBeNull();
    expect(this.executor.violation).toBeNull();
    for (const client of this.clients) {
      expect(client.ended).toBe(true);
      client.check(poisonable, this.engine.limits.maxUnreadTokens);
    }
    expect(this.engine.snapshot()).toMatchObject({
      running: 0,
      waiting: 0,
      held: 0,
      kvBlocksUsed: 0,
      stepsInFlight: 0,
    });
  }
}

describe('the engine, whatever happens', () => {
  it('gives every request the tokens it would get alone, within its limits, in order of arrival, leaking nothing', async () => {
    await fc.assert(
      fc.asyncProperty(rigLimits, fc.array(action, { maxLength: 60, size: 'max' }), async (limits, actions) => {
        const rig = new Rig(limits);
        for (const todo of actions) await rig.act(todo);
        // Alone, a sequence takes at most a step per token; preempted ones compute their tokens again.
        const sequences = rig.clients.reduce((sum, { spec }) => sum + spec.n, 0);
        const steps = await rig.finish();
        expect(steps).toBeLessThanOrEqual(2 * maxModelLen * sequences);
        rig.check(false);
        const arrivals = rig.started.map((id) => Number(id.slice(1)));
        expect(arrivals).toEqual([...arrivals].sort((a, b) => a - b));
      }),
      { numRuns: 400 },
    );
  });

  it('ends only the sequences that make steps fail', async () => {
    await fc.assert(
      fc.asyncProperty(rigLimits, fc.array(spec, { minLength: 1, maxLength: 10 }), async (limits, specs) => {
        const rig = new Rig({ ...limits, maxWaiting: 100 });
        for (const one of specs) {
          const prompt = one.poisoned ? [...one.prompt.slice(1), poison] : one.prompt;
          rig.clients.push(new Client(rig.engine, `r${rig.clients.length}`, { ...one, prompt }));
        }
        await rig.finish((step) => {
          if (step.batch.tokenIds.includes(poison)) step.fail('NON_FINITE');
          else step.succeed();
        });
        rig.check(true);
        for (const { spec: one, reasons, resumed } of rig.clients) {
          reasons.forEach((reason, index) => {
            const output = reference(one, index);
            const computes = resumed[index]!.length < output.length || output.length === 0;
            // The poison is computed with the prompt, or as any token but the last of the output.
            const poisoned = one.prompt.includes(poison) || output.slice(0, -1).includes(poison);
            expect(reason === 'FINISH_REASON_ERROR').toBe(computes && poisoned);
          });
        }
      }),
      { numRuns: 150 },
    );
  });
});
