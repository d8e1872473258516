/** The threads that tokenise long texts. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../../../proto/messages.ts';
import { ServiceError } from '../../errors.ts';
import type { TextFiles } from '../../model/checkpoint/checkpoint-files.ts';
import { IsolatedTasks } from './isolated-tasks.ts';

export interface EncodeTask {
  readonly text: string;
  readonly addSpecialTokens: boolean;
}

/** Token ids, with holes for what the vocabulary does not have; or why there are none. */
export type EncodeAnswer = { readonly result: (number | undefined)[] } | { readonly error: string };

export interface TokenizerThreadLimits {
  readonly timeLimitMs: number;
  readonly maxWaiting: number;
}

const defaultLimits: TokenizerThreadLimits = { timeLimitMs: 20_000, maxWaiting: 64 };

/** Texts of more UTF-16 units than this are tokenised apart from others; measured: 1 ms for about 1,000. */
const longText = 2 ** 18;

/** A thread for texts and another one for very long texts, which others never wait for. */
export function tokenizerThreads(files: Pick<TextFiles, 'tokenizerPath' | 'tokenizer' | 'tokenizerConfig'>) {
  const [usual, long] = [tokenizerThread(files), tokenizerThread(files)];
  return {
    run: (task: EncodeTask, signal: AbortSignal | null): Promise<EncodeAnswer> =>
      (task.text.length > longText ? long : usual).run(task, signal),
    close: async (): Promise<void> => void (await Promise.all([usual.close(), long.close()])),
  };
}

export function tokenizerThread(
  { tokenizerPath, tokenizer, tokenizerConfig }: Pick<TextFiles, 'tokenizerPath' | 'tokenizer' | 'tokenizerConfig'>,
  { timeLimitMs, maxWaiting }: TokenizerThreadLimits = defaultLimits,
): IsolatedTasks<EncodeTask, EncodeAnswer> {
  return new IsolatedTasks<EncodeTask, EncodeAnswer>({
    timeLimitMs,
    maxWaiting,
    ahead: 0,
    size: ({ text }) => text.length,
    tooLong: () => new ServiceError('INVALID_REQUEST', `the text could not be tokenised within ${timeLimitMs} ms`),
    lost: (_, cause) => new ServiceError('INTERNAL', 'the tokenizer thread ended unexpectedly', { cause }),
    full: 'too many long prompts are waiting to be tokenised',
    start({ onReady, onAnswer, onLost }) {
      const worker = new Worker(join(packageRoot, 'controller', 'text', 'isolated', 'tokenizer-thread.mjs'), {
        // A path where there is one: the thread reads it without holding up anything here.
        workerData: { tokenizerPath, tokenizer: tokenizerPath === null ? tokenizer : null, tokenizerConfig },
      });
      worker.unref();
      worker.on('message', (message: EncodeAnswer | 'ready') => (message === 'ready' ? onReady() : onAnswer(message)));
      worker.on('error', onLost);
      worker.on('exit', (code) => onLost(new Error(`exit code ${code}`)));
      return {
        post: (task) => worker.postMessage(task),
        end: async () => void (await worker.terminate()),
      };
    },
  });
}
