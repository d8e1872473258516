import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runPrompts } from '../../../../controller/gateway/run-prompts.ts';
import { codedError } from './fake-pipeline.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A pipeline with room for so many sequences; `others` says how many of them somebody else has at each try. */
class Queue {
  readonly #room: number;
  readonly #n: number;
  readonly #others: () => number;
  #held = 0;
  most = 0;
  readonly ended: number[] = [];

  constructor(room: number, n: number, others: () => number = () => 0) {
    this.#room = room;
    this.#n = n;
    this.#others = others;
  }

  readonly run = async (prompt: number, onAnswer: () => void): Promise<void> => {
    await turn();
    if (this.#held + this.#others() + this.#n > this.#room) throw codedError('OVERLOADED');
    this.#held += this.#n;
    this.most = Math.max(this.most, this.#held);
    await turn();
    onAnswer();
    for (let i = 0; i <= prompt % 3; i++) await turn();
    this.#held -= this.#n;
    this.ended.push(prompt);
  };
}

describe('the prompts of a request', () => {
  it('are all run once where one has room, however small the queue is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(80),
        async (prompts, n, spare) => {
          const queue = new Queue(n + spare, n);
          await runPrompts({ prompts, n, run: queue.run, sleep: turn });
          expect([...queue.ended].sort((a, b) => a - b)).toEqual(
            Array.from({ length: prompts }, (_, prompt) => prompt),
          );
          expect(queue.most).toBeLessThanOrEqual(Math.max(n, 32));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('take each other’s places as soon as those are free', async () => {
    const queue = new Queue(2, 1);
    await runPrompts({ prompts: 20, n: 1, run: queue.run, sleep: () => new Promise(() => {}) });
    expect(queue.ended).toHaveLength(20);
  });

  it('are refused when others fill the queue from the start', async () => {
    const queue = new Queue(10, 1, () => 10);
    const running = runPrompts({ prompts: 50, n: 1, run: queue.run, sleep: turn });
    await expect(running).rejects.toMatchObject({ code: 'OVERLOADED' });
    expect(queue.ended).toEqual([]);
  });

  it('are finished once one was answered, though others fill the queue for a while', async () => {
    let tries = 0;
    const queue = new Queue(2, 2, () => (tries++ === 0 || tries > 40 ? 0 : 2));
    const waits: number[] = [];
    const sleep = (ms: number): Promise<void> => {
      waits.push(ms);
      return turn();
    };
    await runPrompts({ prompts: 3, n: 2, run: queue.run, sleep });
    expect(queue.ended).toHaveLength(3);
    expect(Math.min(...waits)).toBe(20);
    expect(Math.max(...waits)).toBe(1_000);
  });

  it.each([
    ['fails', codedError('INTERNAL')],
    ['runs out of room after its first answer', codedError('OVERLOADED')],
  ])('end with the first that %s', async (_, error) => {
    let started = 0;
    const run = async (prompt: number, onAnswer: () => void): Promise<void> => {
      started++;
      await turn();
      onAnswer();
      if (prompt === 1) throw error;
      await new Promise(() => {});
    };
    await expect(runPrompts({ prompts: 100, n: 16, run, sleep: turn })).rejects.toBe(error);
    expect(started).toBe(2);
  });

  it('end when the wait for room does', async () => {
    const queue = new Queue(1, 1, () => (queue.ended.length === 0 ? 0 : 1));
    const over = codedError('DEADLINE_EXCEEDED');
    await expect(
      runPrompts({
        prompts: 2,
        n: 1,
        run: queue.run,
        sleep: () => (queue.ended.length === 0 ? turn() : Promise.reject(over)),
      }),
    ).rejects.toBe(over);
  });
});
