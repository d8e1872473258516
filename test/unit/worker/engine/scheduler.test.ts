import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { StepOutput } from '../../../../native/native.ts';
import { BlockManager } from '../../../../worker/engine/cache/block-manager.ts';
import { Cache } from '../../../../worker/engine/cache/cache.ts';
import { defaultEngineLimits, type EngineLimits } from '../../../../worker/engine/request/limits.ts';
import { checkRequest } from '../../../../worker/engine/request/request.ts';
import type { StepPlan } from '../../../../worker/engine/schedule/batch.ts';
import { Scheduler } from '../../../../worker/engine/schedule/scheduler.ts';
import { Sequence } from '../../../../worker/engine/schedule/sequence.ts';
import { runRequest } from './run-request.ts';

const vocabSize = 50;
let order = 0;
let preempted: string[] = [];

beforeEach(() => {
  order = 0;
  preempted = [];
});

interface Sizes extends Partial<EngineLimits> {
  readonly blocks?: number;
  readonly blockSize?: number;
}

function scheduler({ blocks = 32, blockSize = 4, ...limits }: Sizes = {}): Scheduler {
  return new Scheduler(
    { ...defaultEngineLimits, maxModelLen: 32, maxSequences: 4, maxBatchedTokens: 8, ...limits },
    new Cache(new BlockManager({ blockCount: blocks, blockSize, caching: true, salt: 1 }), null),
    (sequence) => preempted.push(sequence.request.id),
  );
}

/** Sequences of a request whose prompt is `length` tokens that start with `from`. */
function sequences(id: string, length: number, { n = 1, maxTokens = 8, from = order } = {}): Sequence[] {
  const prompt = Array.from({ length }, (_, i) => (from * 7 + i) % vocabSize);
  const limits = { ...defaultEngineLimits, maxModelLen: 32 };
  const request = checkRequest(
    runRequest(id, prompt, { maxTokens }, {}, { n }),
    { vocabSize, eosTokenIds: [] },
    limits,
  );
  return request.outputs.map((_, index) => new Sequence(request, index, ++order));
}

/** The plan as [request, rows] pairs. */
function read(plan: StepPlan | null): [string, number][] {
  return (plan?.sequences ?? []).map((sequence, at) => [sequence.request.id, plan!.rowCounts[at]!]);
}

/** The results of a step: every sampled token is 1. */
function outputOf(plan: StepPlan): StepOutput {
  const tokens = new Int32Array(plan.logitsCount).fill(1);
  const nothing = { topTokens: new Int32Array(0), topLogprobs: new Float32Array(0) };
  return {
    tokens,
    logprobs: new Float32Array(tokens.length),
    topOffsets: new Int32Array(tokens.length + 1),
    ...nothing,
  };
}

function step(of: Scheduler): [string, number][] {
  const plan = of.schedule();
  const shape = read(plan);
  if (plan !== null) {
    of.complete(plan, outputOf(plan));
    of.recycle(plan);
  }
  return shape;
}

describe('a step', () => {
  it('decodes first, then goes on with prompts, then admits, within the token budget', () => {
    const one = scheduler();
    one.submit(sequences('a', 3));
    one.submit(sequences('b', 12));
    one.submit(sequences('c', 2));
    expect(step(one)).toEqual([
      ['a', 3],
      ['b', 5],
    ]);
    expect(step(one)).toEqual([
      ['a', 1],
      ['b', 7],
    ]);
    expect(step(one)).toEqual([
      ['a', 1],
      ['b', 1],
      ['c', 2],
    ]);
  });

  it('runs no more sequences than it may', () => {
    const one = scheduler({ maxSequences: 2 });
    for (const id of ['a', 'b', 'c']) one.submit(sequences(id, 2, { maxTokens: 2 }));
    expect(step(one)).toEqual([
      ['a', 2],
      ['b', 2],
    ]);
    expect(step(one)).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
    expect(step(one)).toEqual([['c', 2]]);
  });

  it('leaves sequences in flight alone, and shares the others out over the steps in flight', () => {
    const one = scheduler({ maxInFlight: 2 });
    for (const id of ['a', 'b', 'c']) one.submit(sequences(id, 2));
    const first = one.schedule()!;
    const second = one.schedule()!;
    expect([read(first), read(second)]).toEqual([
      [
        ['a', 2],
        ['b', 2],
      ],
      [['c', 2]],
    ]);
    expect(one.schedule()).toBeNull();
    one.complete(first, outputOf(first));
    expect(read(one.schedule())).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
  });

  it('reuses the blocks of a prompt that began alike', () => {
    const one = scheduler();
    one.submit(sequences('a', 8, { from: 1 }));
    step(one);
    one.submit(sequences('b', 10, { from: 1 }));
    expect(step(one)).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
    expect([one.prefixQueriedTokens, one.prefixHitTokens]).toEqual([18, 8]);
  });

  it('computes the prompt of n sequences once, but for its last block', () => {
    const one = scheduler();
    one.submit(sequences('a', 6, { n: 3 }));
    expect(step(one)).toEqual([['a', 6]]);
    expect(step(one)).toEqual([
      ['a', 1],
      ['a', 2],
      ['a', 2],
    ]);
    expect(one.cache.blocks.usedCount).toBe(1 + 3);
  });
});

describe('when blocks run out', () => {
  it('the youngest is computed again later, and continues with what it had', () => {
    // Four blocks of two: both prompts and one more block each.
    const one = scheduler({ blocks: 4, blockSize: 2, maxModelLen: 8 });
    const [a] = sequences('a', 2, { maxTokens: 6 });
    const [b] = sequences('b', 1, { maxTokens: 5 });
    one.submit([a!]);
    step(one);
    one.submit([b!]);
    for (let steps = 0; preempted.length === 0; steps++) {
      expect(steps).toBeLessThan(10);
      step(one);
    }
    expect(preempted).toEqual(['b']);
    const had = b!.outputCount;
    expect(had).toBeGreaterThan(0);
    while (a!.state !== 'ended') expect(step(one)).toEqual([['a', 1]]);
    expect(step(one)).toEqual([['b', 1 + had]]);
  });

  it('an old one waits for a younger one in flight rather than give up its own blocks', () => {
    const one = scheduler({ blocks: 4, blockSize: 2, maxModelLen: 8, maxInFlight: 2 });
    one.submit(sequences('a', 4, { maxTokens: 4 }));
    one.submit(sequences('b', 1, { maxTokens: 4 }));
    const first = one.schedule()!;
    const second = one.schedule();
    // One block stays free for a, so b waits until then; a takes it.
    expect([read(first), read(second)]).toEqual([[['a', 4]], [['b', 1]]]);
    one.complete(first, outputOf(first));
    const third = one.schedule()!;
    expect(read(third)).toEqual([['a', 1]]);
    one.complete(third, outputOf(third));
    const fourth = one.schedule()!;
    one.complete(fourth, outputOf(fourth));
    // a has five tokens and its sixth in three blocks; the seventh needs the fourth block, which b holds in flight.
    expect(one.schedule()).toBeNull();
    expect(preempted).toEqual([]);
    one.complete(second!, outputOf(second!));
    expect(read(one.schedule())).toEqual([['a', 1]]);
    expect(preempted).toEqual(['b']);
  });

  it('nobody is admitted before the first in line', () => {
    const one = scheduler({ blocks: 8, blockSize: 2, maxModelLen: 16, maxBatchedTokens: 16 });
    one.submit(sequences('a', 8, { maxTokens: 2 }));
    step(one);
    one.submit(sequences('large', 10));
    one.submit(sequences('small', 1));
    expect(step(one)).toEqual([['a', 1]]);
    expect(step(one)).toEqual([
      ['large', 10],
      ['small', 1],
    ]);
  });

  it('a newcomer leaves one block free for each that runs', () => {
    const one = scheduler({ blocks: 5, blockSize: 2, maxModelLen: 10 });
    one.submit(sequences('a', 3, { maxTokens: 2 }));
    one.submit(sequences('b', 6));
    expect(step(one)).toEqual([['a', 3]]);
    expect(step(one)).toEqual([['a', 1]]);
    expect(step(one)).toEqual([['b', 6]]);
  });

  it('a prompt that does not fit is looked up again only when blocks have become free', () => {
    const one = scheduler({ blocks: 8, blockSize: 2, maxModelLen: 16, maxBatchedTokens: 16 });
    one.submit(sequences('a', 8, { maxTokens: 4 }));
    one.submit(sequences('large', 10));
    const reuse = vi.spyOn(one.cache.blocks, 'reuse');
    for (let steps = 0; steps < 4; steps++) step(one);
    expect(reuse).toHaveBeenCalledTimes(2);
    expect(step(one)).toEqual([['large', 10]]);
  });

  it('an older one that comes back is tried at once', () => {
    const one = scheduler({ blocks: 8, blockSize: 2, maxModelLen: 16, maxBatchedTokens: 16 });
    const [back] = sequences('back', 1);
    one.submit(sequences('a', 8));
    one.submit([back!]);
    step(one);
    one.pause(back!);
    one.submit(sequences('large', 10));
    expect(step(one)).toEqual([['a', 1]]);
    one.resume(back!);
    expect(step(one)).toEqual([
      ['a', 1],
      ['back', 2],
    ]);
  });
});

describe('a paused sequence', () => {
  it('gives up its blocks, and reuses them when it comes back', () => {
    const one = scheduler();
    const [a] = sequences('a', 8);
    one.submit([a!]);
    step(one);
    one.pause(a!);
    expect([a!.state, one.cache.blocks.usedCount, one.schedule()]).toEqual(['held', 0, null]);
    one.resume(a!);
    expect(step(one)).toEqual([['a', 1]]);
  });

  it('that is in flight keeps the step’s token and pauses then', () => {
    const one = scheduler();
    const [a] = sequences('a', 8);
    one.submit([a!]);
    const plan = one.schedule()!;
    one.pause(a!);
    one.complete(plan, outputOf(plan));
    expect([a!.state, a!.outputCount]).toEqual(['held', 1]);
  });
});

describe('a failed step', () => {
  const transient = { kind: 'transient', cacheLost: false } as const;
  const unknown = { kind: 'unknown', cacheLost: false } as const;

  it('is computed again from the first token', () => {
    const one = scheduler();
    one.submit(sequences('a', 8));
    step(one);
    const plan = one.schedule()!;
    const { retried, failed } = one.fail(plan, transient);
    expect([retried.length, failed.length]).toEqual([1, 0]);
    expect(step(one)).toEqual([['a', 8]]);
    expect(step(one)).toEqual([['a', 1]]);
  });

  it('takes along the others that read its blocks', () => {
    const one = scheduler({ maxInFlight: 2, maxBatchedTokens: 16 });
    one.submit(sequences('a', 8, { from: 1 }));
    step(one);
    one.submit(sequences('b', 9, { from: 1 }));
    const [first, second] = [one.schedule()!, one.schedule()!];
    expect([read(first), read(second)]).toEqual([[['a', 1]], [['b', 1]]]);
    one.fail(first, transient);
    one.complete(second, outputOf(second));
    expect(second.dropped[0]).toBe(1);
    expect(read(one.schedule())).toEqual([['a', 9]]);
    expect(read(one.schedule())).toEqual([['b', 9]]);
  });

  it('ends its sequences after too many tries', () => {
    const one = scheduler({ maxStepRetries: 2 });
    const [a] = sequences('a', 2);
    one.submit([a!]);
    for (let attempt = 0; attempt < 2; attempt++) expect(one.fail(one.schedule()!, transient).failed).toEqual([]);
    expect(one.fail(one.schedule()!, transient).failed).toEqual([a]);
    expect([a!.state, a!.finishReason, one.live]).toEqual(['ended', 'FINISH_REASON_ERROR', 0]);
  });

  it('counts as a try only until a step succeeds', () => {
    const one = scheduler({ maxStepRetries: 1 });
    one.submit(sequences('a', 2));
    for (let attempt = 0; attempt < 4; attempt++) {
      expect(one.fail(one.schedule()!, transient).failed).toEqual([]);
      step(one);
    }
  });

  it('of unknown cause is computed again one by one, and only who fails alone is ended', () => {
    const one = scheduler();
    const [a] = sequences('a', 2);
    const [b] = sequences('b', 2);
    one.submit([a!]);
    one.submit([b!]);
    expect(one.fail(one.schedule()!, unknown).failed).toEqual([]);
    const alone = one.schedule()!;
    expect(read(alone)).toEqual([['a', 2]]);
    expect(one.fail(alone, unknown).failed).toEqual([a]);
    expect(step(one)).toEqual([['b', 2]]);
    one.submit(sequences('c', 2));
    expect(step(one)).toEqual([
      ['b', 1],
      ['c', 2],
    ]);
  });

  it('ends its sequences at once when the executor will not recover', () => {
    const one = scheduler();
    one.submit(sequences('a', 2));
    one.submit(sequences('b', 2));
    expect(one.fail(one.schedule()!, { kind: 'fatal', cacheLost: false }).failed).toHaveLength(2);
  });
});
