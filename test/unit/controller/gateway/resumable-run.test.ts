import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { abortable } from '../../../../controller/gateway/abortable.ts';
import type { Pipeline } from '../../../../controller/gateway/pipeline.ts';
import { type ResumeOptions, runResumable } from '../../../../controller/gateway/resumable-run.ts';
import type { PipelineRouter } from '../../../../controller/gateway/router.ts';
import type { RunRequest, RunResponse } from '../../../../proto/messages.ts';
import { codedError, type FakeOptions, FakePipeline } from './fake-pipeline.ts';

const eos = 99;
const never = new AbortController().signal;

function request(changes: Partial<RunRequest> = {}): RunRequest {
  return {
    requestId: 'r',
    promptTokenIds: [1, 2, 3, 4],
    outputTokenIds: [],
    sampling: { temperature: 1, seed: '7', logitBias: {} },
    limits: { maxTokens: 12, stop: [], stopTokenIds: [], ignoreEos: false, logprobs: 1, promptLogprobs: 1 },
    n: 1,
    constraint: null,
    ...changes,
  };
}

/** Tokens as a model would draw them: a function of seed, sequence and position; some sequences end early. */
const token: FakeOptions['token'] = ({ sampling }, index, position) => {
  const draw = (Number(sampling?.seed ?? 0) * 31 + index * 17 + position * position * 7) % 50;
  return draw === 13 ? eos : draw;
};

function routerOf(pipelines: readonly Pipeline[]): PipelineRouter {
  return { pick: (_request, avoid) => pipelines.find((pipeline) => !avoid.has(pipeline)) ?? null };
}

/** A clock that waiting moves. */
function options(
  router: PipelineRouter,
  changes: Partial<ResumeOptions> = {},
): ResumeOptions & { readonly waits: number[] } {
  let time = 0;
  const waits: number[] = [];
  return {
    waits,
    router,
    maxAttempts: 50,
    maxLostMs: 60_000,
    now: () => time,
    sleep: (ms) => {
      waits.push(ms);
      time += ms;
      return Promise.resolve();
    },
    take: () => {},
    wants: () => true,
    over: () => false,
    onLost: () => {},
    onResumed: () => {},
    ...changes,
  };
}

/** Reads a request to its end, or to where `take` returns true. */
function read(
  run: RunRequest,
  signal: AbortSignal,
  resume: ResumeOptions,
  take: (response: RunResponse) => boolean | void,
): Promise<void> {
  let over = false;
  const reading = {
    take: (response: RunResponse) => {
      over = take(response) === true;
    },
    over: () => over,
  };
  return abortable(signal, () => runResumable(run, signal, { ...resume, ...reading }));
}

interface Received {
  readonly tokens: readonly (readonly number[])[];
  readonly logprobs: readonly (readonly number[])[];
  readonly prompt: readonly (number | undefined)[];
  readonly finish: readonly string[];
}

async function collect(run: RunRequest, resume: ResumeOptions, signal = never): Promise<Received> {
  const tokens: number[][] = Array.from({ length: run.n }, () => []);
  const logprobs: number[][] = Array.from({ length: run.n }, () => []);
  const prompt: (number | undefined)[] = [];
  const finish: string[] = Array.from({ length: run.n }, () => '');
  await read(run, signal, resume, (response) => {
    tokens[response.index]!.push(...response.tokenIds);
    logprobs[response.index]!.push(...response.logprobs.map(({ logprob }) => logprob));
    prompt.push(...response.promptLogprobs.map(({ tokenId }) => tokenId));
    if (response.finishReason !== 'FINISH_REASON_UNSPECIFIED') finish[response.index] += response.finishReason;
  });
  return { tokens, logprobs, prompt, finish };
}

describe('a request whose pipelines die', () => {
  it('brings the same tokens, scores and ends as one whose pipeline lives', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.nat(1_000),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.nat(12), { maxLength: 30 }),
        fc.constantFrom('PIPELINE_LOST', 'UNAVAILABLE', 'CLOSED', 'DRAINING', 'early end', 'OVERLOADED'),
        async (n, seed, stride, deaths, code) => {
          const run = request({ n, sampling: { temperature: 1, seed: String(seed), logitBias: {} } });
          const living = new FakePipeline({ token, stride, eosTokenIds: [eos] });
          const expected = await collect(run, options(routerOf([living])));

          let begun = false;
          const left = [...deaths];
          let responses = left.shift() ?? Number.POSITIVE_INFINITY;
          const dying = (): Pipeline => {
            const fake = new FakePipeline({ token, stride, eosTokenIds: [eos] });
            return {
              stopSequence: () => {},
              async *run(attempt, signal) {
                for await (const response of fake.run(attempt, signal)) {
                  if (responses-- <= 0) {
                    responses = left.shift() ?? Number.POSITIVE_INFINITY;
                    if (code === 'early end') return;
                    // A full queue before anything came is an answer of its own, see below.
                    if (code !== 'OVERLOADED' || begun) throw codedError(code);
                  }
                  begun = true;
                  yield response;
                }
              },
            };
          };
          expect(await collect(run, options(routerOf([dying(), dying()])))).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('passes the tokens that came to the next pipeline', async () => {
    let calls = 0;
    const fake = new FakePipeline({
      token: (_request, _index, position) => position,
      before: (_request, _index, position) => {
        if (position === 3 && calls++ === 0) throw codedError('PIPELINE_LOST');
      },
    });
    await collect(request(), options(routerOf([fake])));
    expect(fake.requests.map(({ requestId, outputTokenIds }) => [requestId, outputTokenIds])).toEqual([
      ['r', []],
      ['r.2', [{ ids: [0, 1, 2] }]],
    ]);
  });

  it('goes to another pipeline at once, and back to the lost one after a wait', async () => {
    const dead: string[] = [];
    const pipeline = (name: string): Pipeline => ({
      stopSequence: () => {},
      // oxlint-disable-next-line require-yield
      async *run() {
        dead.push(name);
        throw codedError('UNAVAILABLE');
      },
    });
    const resume = options(routerOf([pipeline('a'), pipeline('b')]), { maxAttempts: 4 });
    await expect(collect(request(), resume)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(dead).toEqual(['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b']);
    expect(resume.waits).toEqual([50, 100, 200]);
  });

  it('counts as resumed once for each loss after which it goes on, however often it had to be tried', async () => {
    // Where each attempt dies: the second, third and fifth bring nothing.
    const deaths = [2, 2, 2, 5, 5, Number.POSITIVE_INFINITY];
    let [lost, resumed] = [0, 0];
    const fake = new FakePipeline({
      token: (_request, _index, position) => position,
      before: (_request, _index, position) => {
        if (position === deaths[fake.requests.length - 1]) throw codedError('UNAVAILABLE');
      },
    });
    const resume = options(routerOf([fake]), { onLost: () => lost++, onResumed: () => resumed++ });
    const { tokens } = await collect(request(), resume);
    expect(tokens[0]).toHaveLength(12);
    expect({ lost, resumed }).toEqual({ lost: 5, resumed: 2 });
  });

  it('is not resumed when it had not begun', async () => {
    let resumed = 0;
    const fake = new FakePipeline({
      token: (_request, _index, position) => position,
      before: () => {
        if (fake.requests.length < 4) throw codedError('UNAVAILABLE');
      },
    });
    await collect(request(), options(routerOf([fake]), { onResumed: () => resumed++ }));
    expect([fake.requests.length, resumed]).toEqual([4, 0]);
  });

  it('looks often for a pipeline that is ready, which counts as no attempt', async () => {
    const pipeline = new FakePipeline({ token });
    let looks = 0;
    const late: PipelineRouter = { pick: () => (++looks <= 200 ? null : pipeline) };
    const resume = options(late, { maxAttempts: 3 });
    await collect(request(), resume);
    expect([pipeline.requests.length, new Set(resume.waits)]).toEqual([1, new Set([100])]);
  });

  it('gives up when nothing has come for too long', async () => {
    const none: PipelineRouter = { pick: () => null };
    const resume = options(none, { maxLostMs: 10_000 });
    await expect(collect(request(), resume)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(resume.now()).toBe(10_000);
  });
});

describe('a sequence that is over for its reader', () => {
  /** Reads `most` tokens of each sequence, and then wants no more of it. Returns the tokens that came. */
  async function readMost(most: readonly number[], fake: FakePipeline): Promise<readonly number[]> {
    const taken = most.map(() => 0);
    const open = new Set(most.keys());
    const wants = (index: number) => taken[index]! < most[index]!;
    const resume = options(routerOf([fake]), { wants });
    await read(request({ n: most.length }), never, resume, ({ index, tokenIds, finishReason }) => {
      taken[index]! += tokenIds.length;
      if (finishReason !== 'FINISH_REASON_UNSPECIFIED') open.delete(index);
      return most.every((_, sequence) => !wants(sequence) || !open.has(sequence));
    });
    return taken;
  }

  it('is stopped where it runs, while the others go on', async () => {
    const fake = new FakePipeline({ token: () => 1 });
    expect(await readMost([12, 3, 12], fake)).toEqual([12, 3, 12]);
    expect([...fake.stopped]).toEqual(['r.1']);
  });

  it('is stopped again where the request is resumed', async () => {
    let lost = false;
    const fake = new FakePipeline({
      token: () => 1,
      before: (_request, _index, position) => {
        if (position < 6 || lost) return;
        lost = true;
        throw codedError('PIPELINE_LOST');
      },
    });
    const [first] = await readMost([12, 3], fake);
    expect([...fake.stopped]).toEqual(['r.1', 'r.2.1']);
    expect(first).toBe(12);
  });

  it('is left alone when it ended by itself, or when nothing is left to run', async () => {
    const fake = new FakePipeline({ token: (_request, index) => (index === 0 ? eos : 1), eosTokenIds: [eos] });
    await readMost([1, 4], fake);
    expect(fake.stopped.size).toBe(0);
    expect(fake.open).toBe(0);
  });
});

describe('a reader', () => {
  it('that is slow is waited for', async () => {
    const fake = new FakePipeline({ token: () => 1 });
    let release = (): void => {};
    const slow = new Promise<void>((resolve) => {
      release = resolve;
    });
    let taken = 0;
    const take = () => (++taken === 2 ? slow : undefined);
    const running = runResumable(request(), never, { ...options(routerOf([fake])), take });
    await new Promise(setImmediate);
    expect(taken).toBe(2);
    release();
    await running;
    expect(taken).toBe(12);
  });

  it('that fails ends the request with its own error, whatever the code, and no pipeline is blamed', async () => {
    const fake = new FakePipeline({ token: () => 1 });
    const error = codedError('UNAVAILABLE', 'the reader failed');
    let lost = 0;
    const take = () => {
      throw error;
    };
    const running = runResumable(request(), never, { ...options(routerOf([fake]), { onLost: () => lost++ }), take });
    await expect(running).rejects.toBe(error);
    expect([lost, fake.requests.length, fake.open]).toEqual([0, 1, 0]);
  });
});

describe('errors of pipelines', () => {
  it.each([
    ['OVERLOADED', 'OVERLOADED', 429],
    ['INVALID_ARGUMENT', 'INVALID_REQUEST', 400],
    ['NON_FINITE', 'INTERNAL', 500],
  ])('%s before the first token becomes %s', async (code, expected, status) => {
    const fake = new FakePipeline({
      token,
      before: () => {
        throw codedError(code, 'why', 'sampling.top_p');
      },
    });
    await expect(collect(request(), options(routerOf([fake])))).rejects.toMatchObject({
      code: expected,
      httpStatus: status,
    });
    expect(fake.requests).toHaveLength(1);
  });

  it.each(['FINISH_REASON_ERROR', 'FINISH_REASON_CANCELLED'] as const)('%s fails the request', async (finishReason) => {
    const pipeline: Pipeline = {
      stopSequence: () => {},
      async *run() {
        yield { index: 0, tokenIds: [], logprobs: [], promptLogprobs: [], finishReason, cachedTokens: 0, queueMs: 0 };
      },
    };
    await expect(collect(request(), options(routerOf([pipeline])))).rejects.toMatchObject({
      code: finishReason === 'FINISH_REASON_ERROR' ? 'INTERNAL' : 'CANCELLED',
    });
  });

  it('a full pipeline is passed over for another', async () => {
    const full = new FakePipeline({
      token,
      before: () => {
        throw codedError('OVERLOADED');
      },
    });
    const free = new FakePipeline({ token });
    await collect(request(), options(routerOf([full, free])));
    expect(free.requests).toHaveLength(1);
  });
});

describe('an abort', () => {
  it('ends a request whose pipeline does not answer at all', async () => {
    const silent: Pipeline = {
      stopSequence: () => {},
      run: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
    };
    const controller = new AbortController();
    const running = collect(request(), options(routerOf([silent])), controller.signal);
    controller.abort(new Error('stop'));
    await expect(running).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('frees the pipeline, and nothing is accepted after it', async () => {
    const controller = new AbortController();
    let accepted = 0;
    const fake = new FakePipeline({ token: () => 1 });
    const run = read(request(), controller.signal, options(routerOf([fake])), () => {
      if (++accepted === 3) controller.abort(codedError('CANCELLED'));
    });
    await expect(run).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect.poll(() => fake.open).toBe(0);
    expect(accepted).toBe(3);
    expect(fake.abandoned).toBe(1);
  });
});
