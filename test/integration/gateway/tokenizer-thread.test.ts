import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readTextFiles } from '../../../controller/model/checkpoint/checkpoint-files.ts';
import { tokenizerThread } from '../../../controller/text/isolated/tokenizer-thread.ts';
import { loadTextModel } from '../../../controller/text/text-model.ts';
import { createTokenizer } from '../../../controller/text/tokenizer.ts';
import { packageRoot } from '../../../proto/messages.ts';

const directory = join(packageRoot, 'models', 'clerk');
const unlimited = Number.POSITIVE_INFINITY;
let close = async (): Promise<void> => {};
afterEach(() => close());

async function started(timeLimitMs: number) {
  const thread = tokenizerThread(await readTextFiles(directory), { timeLimitMs, maxWaiting: 2 });
  close = () => thread.close();
  return thread;
}

describe('long texts', () => {
  it('become the same tokens as short ones, and the event loop goes on meanwhile', async () => {
    const text = await loadTextModel(directory);
    close = () => text.close();
    const tokenizer = createTokenizer(await readTextFiles(directory));
    const long = 'The quick brown fox, über 日本 12345. '.repeat(5_000);
    let turns = 0;
    const ticking = setInterval(() => turns++, 1);
    const ids = await text.encode(long, false, unlimited);
    clearInterval(ticking);
    expect(ids).toEqual(tokenizer.encode(long, false));
    expect(turns).toBeGreaterThan(10);
  });
});

it('a long text does not wait for very long ones', async () => {
  const text = await loadTextModel(directory);
  close = () => text.close();
  const ended: string[] = [];
  const encode = async (name: string, words: number): Promise<void> => {
    await text.encode('word '.repeat(words), false, unlimited).catch(() => null);
    ended.push(name);
  };
  const veryLong = [encode('very long', 1_500_000), encode('very long', 1_500_000)];
  await encode('long', 4_000);
  expect(ended).toEqual(['long']);
  await text.close();
  await Promise.all(veryLong);
});

describe('the tokenizer thread', () => {
  const short = { text: 'abc', addSpecialTokens: false };
  const endless = { text: 'word '.repeat(2_000_000), addSpecialTokens: false };

  it('is ended when a text takes too long, and started again for the next', async () => {
    const thread = await started(1_000);
    const slow = thread.run(endless, null);
    const next = thread.run(short, null);
    await expect(slow).rejects.toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringContaining('1000 ms') });
    expect(await next).toMatchObject({ result: { length: 3 } });
  });

  it('takes a bounded number of texts', async () => {
    const thread = await started(60_000);
    const accepted = [endless, short, short].map((task) => thread.run(task, null));
    const settled = Promise.allSettled(accepted);
    await expect(thread.run(short, null)).rejects.toMatchObject({ code: 'OVERLOADED' });
    await thread.close();
    for (const result of await settled)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
  });

  it('drops a text whose client has left before its turn', async () => {
    const thread = await started(60_000);
    const controller = new AbortController();
    const first = thread.run(short, null);
    const left = thread.run(short, controller.signal);
    controller.abort(new Error('left'));
    await expect(left).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await first).toMatchObject({ result: { length: 3 } });
    await expect(thread.run(short, controller.signal)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});
