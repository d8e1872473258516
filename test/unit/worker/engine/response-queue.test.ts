import { describe, expect, it } from 'vitest';
import { emptyResponse } from '../../../../worker/engine/run/response.ts';
import { ResponseQueue } from '../../../../worker/engine/run/response-queue.ts';

function queue(onStart: () => void = () => {}): { queue: ResponseQueue; events: string[] } {
  const events: string[] = [];
  return {
    events,
    queue: new ResponseQueue({
      onStart: () => {
        events.push('start');
        onStart();
      },
      onTaken: (index) => events.push(`taken ${index}`),
      onReturn: () => events.push('return'),
    }),
  };
}

const response = (index: number, ...tokenIds: number[]) => ({
  ...emptyResponse(index, 'FINISH_REASON_UNSPECIFIED'),
  tokenIds,
});

describe('responses on their way', () => {
  it('start nothing before they are asked for', async () => {
    const { queue: one, events } = queue();
    await one.return();
    expect(events).toEqual([]);
    expect(await one.next()).toEqual({ done: true, value: undefined });
  });

  it('go straight to a consumer that waits', async () => {
    const { queue: one, events } = queue();
    const next = one.next();
    expect(one.push(response(0, 7))).toBe(0);
    expect(await next).toEqual({ done: false, value: response(0, 7) });
    expect(events).toEqual(['start']);
  });

  it('are merged per sequence while nobody asks', async () => {
    const { queue: one, events } = queue();
    const first = one.next();
    one.push(response(0, 1));
    expect(one.push(response(1, 2))).toBe(1);
    expect(one.push(response(0, 3))).toBe(1);
    expect(one.push(response(1, 4, 5))).toBe(3);
    one.end();
    await first;
    const rest = [];
    for await (const value of one) rest.push(value);
    expect(rest).toEqual([response(1, 2, 4, 5), response(0, 3)]);
    expect(events).toEqual(['start', 'taken 1', 'taken 0']);
  });

  it('answer several questions in order', async () => {
    const { queue: one } = queue();
    const questions = [one.next(), one.next(), one.next()];
    one.push(response(0, 1));
    one.push(response(0, 2));
    one.end();
    const answers = await Promise.all(questions);
    expect(answers.map(({ value }) => value?.tokenIds)).toEqual([[1], [2], undefined]);
  });

  it('report when the consumer leaves, and then wake who still waits', async () => {
    const { queue: one, events } = queue();
    const waiting = one.next();
    await one.return();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(events).toEqual(['start', 'return']);
    expect(one.push(response(0, 1))).toBe(0);
  });

  it('refuse with what the start throws, once', async () => {
    const { queue: one } = queue(() => {
      throw new Error('no room');
    });
    await expect(one.next()).rejects.toThrow('no room');
    expect(await one.next()).toEqual({ done: true, value: undefined });
  });
});
