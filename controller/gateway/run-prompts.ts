/**
 * Runs the prompts of one request, a bounded number of sequences at a time; the others wait here rather than in a pipeline's
 * queue. A full queue refuses only a request that has nothing under way: what was begun is finished, as room comes.
 */
import { toServiceError } from '../errors.ts';

export interface PromptRun {
  readonly prompts: number;
  /** Sequences of each prompt. */
  readonly n: number;
  /** Runs one prompt; `onAnswer` is called when something comes of it. Fails with OVERLOADED where the queue is full. */
  readonly run: (prompt: number, onAnswer: () => void) => Promise<void>;
  /** Waits; rejects when the request is over. */
  readonly sleep: (ms: number) => Promise<void>;
}

const sequencesAtATime = 32;
/** Milliseconds after which a prompt asks for room again. */
const firstWaitMs = 20;
const longestWaitMs = 1_000;

/** Settles when all prompts have ended, or one has failed; the others then still run. */
export async function runPrompts({ prompts, n, run, sleep }: PromptRun): Promise<void> {
  let next = 0;
  let underWay = 0;
  let begun = false;
  /** Prompts that wait for room; one goes on when another has ended. */
  const waiting = new Set<() => void>();

  const room = async (ms: number): Promise<void> => {
    let wake = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      wake = resolve;
    });
    waiting.add(wake);
    await Promise.race([ended, sleep(ms)]).finally(() => waiting.delete(wake));
  };

  const wakeOne = (): void => {
    const [wake] = waiting;
    if (wake === undefined) return;
    waiting.delete(wake);
    wake();
  };

  /** False: the queue was full, and the prompt may ask again. */
  const tryPrompt = async (prompt: number): Promise<boolean> => {
    let answered = false;
    underWay++;
    try {
      await run(prompt, () => {
        begun = answered = true;
      });
      wakeOne();
      return true;
    } catch (error) {
      if (answered || toServiceError(error).code !== 'OVERLOADED' || !(begun || underWay > 1)) throw error;
      return false;
    } finally {
      underWay--;
    }
  };

  const runNext = async (): Promise<void> => {
    while (next < prompts) {
      const prompt = next++;
      for (let wait = firstWaitMs; !(await tryPrompt(prompt)); wait = Math.min(2 * wait, longestWaitMs)) {
        await room(wait);
      }
    }
  };
  const atATime = Math.min(prompts, Math.max(1, Math.floor(sequencesAtATime / n)));
  await Promise.all(Array.from({ length: atATime }, runNext));
}
