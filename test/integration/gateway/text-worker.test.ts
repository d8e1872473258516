import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { ChatInput } from '../../../controller/gateway/chat-template.ts';
import { readTextFiles } from '../../../controller/gateway/checkpoint-files.ts';
import { createTextModel, loadTextModel, type TextModel } from '../../../controller/gateway/text-model.ts';
import { TextWorker } from '../../../controller/gateway/text-worker.ts';
import { createTokenizer } from '../../../controller/gateway/tokenizer.ts';
import { packageRoot } from '../../../proto/messages.ts';

const directory = join(packageRoot, 'models', 'clerk');
const unlimited = Number.POSITIVE_INFINITY;
let close = async (): Promise<void> => {};
afterEach(() => close());

function opened(text: TextModel): TextModel {
  close = () => text.close();
  return text;
}

function chat(contents: readonly string[], changes: Partial<ChatInput> = {}): ChatInput {
  return {
    messages: contents.map((content) => ({ role: 'user', content })),
    tools: null,
    documents: null,
    addGenerationPrompt: true,
    continueFinalMessage: false,
    templateArguments: {},
    ...changes,
  };
}

describe('long inputs', () => {
  it('become the same tokens as short ones, and the event loop goes on meanwhile', async () => {
    const text = opened(await loadTextModel(directory));
    const tokenizer = createTokenizer(await readTextFiles(directory));
    const long = 'The quick brown fox, über 日本 12345. '.repeat(5_000);
    let turns = 0;
    const ticking = setInterval(() => turns++, 1);
    const ids = await text.encode(long, false, unlimited);
    clearInterval(ticking);
    expect(ids).toEqual(tokenizer.encode(long, false));
    expect(turns).toBeGreaterThan(10);
  });

  it('become the same chat prompts as short ones', async () => {
    const text = opened(await loadTextModel(directory));
    const contents = Array.from({ length: 100 }, (_, i) => `message ${i}`);
    const expected = contents.map((content) => `<|im_start|>user\n${content}<|im_end|>\n`).join('');
    expect(await text.renderChat(chat(contents))).toBe(`${expected}<|im_start|>assistant\n`);
  });

  it('are refused by templates as short ones are', async () => {
    const files = { ...(await readTextFiles(directory)), chatTemplate: "{{ raise_exception('no') }}" };
    const text = opened(createTextModel(files));
    await expect(text.renderChat(chat(['x'.repeat(20_000)]))).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: 'the chat template refused the messages: no',
    });
  });

  it('may be nested too deeply to be handed over, which harms nobody else', async () => {
    const text = opened(await loadTextModel(directory));
    let nested: unknown[] = [];
    for (let depth = 0; depth < 200_000; depth++) nested = [nested];
    const deep = chat(['a'], { templateArguments: { nested } });
    await expect(text.renderChat(deep)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    expect(await text.encode('a'.repeat(20_000), false, unlimited)).toHaveLength(20_000);
  });
});

const workerOptions = async (timeLimitMs: number) => ({
  tokenizerPath: join(directory, 'tokenizer.json'),
  tokenizerConfig: (await readTextFiles(directory)).tokenizerConfig,
  timeLimitMs,
  maxWaiting: 2,
});

describe('the text thread', () => {
  const endless = '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}';

  it('is ended when a task takes too long, and started again for the next', async () => {
    const worker = new TextWorker(await workerOptions(1_000));
    close = () => worker.close();
    const slow = worker.run({ kind: 'render', template: endless, variables: {} }, null);
    const next = worker.run({ kind: 'encode', text: 'abc', addSpecialTokens: false }, null);
    await expect(slow).rejects.toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringContaining('1000 ms') });
    expect(await next).toHaveLength(3);
  });

  it('takes a bounded number of tasks', async () => {
    const worker = new TextWorker(await workerOptions(60_000));
    close = () => worker.close();
    const task = { kind: 'render', template: endless, variables: {} } as const;
    const accepted = [worker.run(task, null), worker.run(task, null), worker.run(task, null)];
    await expect(worker.run(task, null)).rejects.toMatchObject({ code: 'OVERLOADED' });
    const settled = Promise.allSettled(accepted);
    await worker.close();
    for (const result of await settled)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
  });

  it('drops a task whose client has left before its turn', async () => {
    const worker = new TextWorker(await workerOptions(60_000));
    close = () => worker.close();
    const controller = new AbortController();
    const task = { kind: 'encode', text: 'abc', addSpecialTokens: false } as const;
    const first = worker.run(task, null);
    const left = worker.run(task, controller.signal);
    controller.abort(new Error('left'));
    await expect(left).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await first).toHaveLength(3);
    await expect(worker.run(task, controller.signal)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});
