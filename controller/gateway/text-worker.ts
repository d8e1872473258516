/**
 * The thread that templates and tokenises long inputs. It starts with the first of them. Work that takes longer than its
 * time limit ends with the thread; the next task starts a new one.
 */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../../proto/messages.ts';
import { ServiceError, toServiceError } from '../errors.ts';

export type TextTask =
  | { readonly kind: 'render'; readonly template: string; readonly variables: Readonly<Record<string, unknown>> }
  | { readonly kind: 'encode'; readonly text: string; readonly addSpecialTokens: boolean };

export interface TextWorkerOptions {
  readonly tokenizerPath: string;
  readonly tokenizerConfig: object;
  /** Longest that one task may take once it is at the front, in milliseconds. */
  readonly timeLimitMs: number;
  /** Most tasks that wait. */
  readonly maxWaiting: number;
}

interface Waiting {
  readonly task: TextTask;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A failure of the task itself, such as an exception that a template raises. */
export class TextTaskError extends Error {}

export class TextWorker {
  readonly #options: TextWorkerOptions;
  readonly #waiting: Waiting[] = [];
  #running: Waiting | null = null;
  #timer: NodeJS.Timeout | undefined;
  #worker: Worker | null = null;
  #closed = false;

  constructor(options: TextWorkerOptions) {
    this.#options = options;
  }

  /** A string for `render`, token ids for `encode`. A task that still waits is dropped when the signal aborts. */
  run(task: TextTask, signal: AbortSignal | null): Promise<unknown> {
    if (signal?.aborted === true) return Promise.reject(toServiceError(signal.reason));
    if (this.#closed) return Promise.reject(new ServiceError('UNAVAILABLE', 'the server is shutting down'));
    if (this.#waiting.length >= this.#options.maxWaiting) {
      return Promise.reject(new ServiceError('OVERLOADED', 'too many long prompts are waiting to be tokenised'));
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { task, resolve, reject };
      this.#waiting.push(waiting);
      signal?.addEventListener('abort', () => this.#drop(waiting, signal.reason), { once: true });
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const reason = new ServiceError('UNAVAILABLE', 'the server is shutting down');
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
    await this.#stop(reason);
  }

  #next(): void {
    if (this.#running !== null) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#running = next;
    this.#worker ??= this.#start();
    const limit = this.#options.timeLimitMs;
    this.#timer = setTimeout(() => {
      const message = `the prompt could not be templated and tokenised within ${limit} ms`;
      void this.#stop(new ServiceError('INVALID_REQUEST', message));
    }, limit);
    try {
      this.#worker.postMessage(next.task);
    } catch (error) {
      // Values that are nested too deeply cannot be handed over.
      this.#settle()?.reject(new TextTaskError((error as Error).message));
      this.#next();
    }
  }

  #drop(waiting: Waiting, reason: unknown): void {
    const place = this.#waiting.indexOf(waiting);
    if (place >= 0) this.#waiting.splice(place, 1);
    waiting.reject(toServiceError(reason));
  }

  #start(): Worker {
    const { tokenizerPath, tokenizerConfig } = this.#options;
    const worker = new Worker(join(packageRoot, 'controller', 'gateway', 'text-thread.mjs'), {
      workerData: { tokenizerPath, tokenizerConfig },
    });
    worker.unref();
    worker.on('message', (message: { result?: unknown; error?: string }) => {
      if (worker !== this.#worker) return;
      if (message.error === undefined) this.#settle()?.resolve(message.result);
      else this.#settle()?.reject(new TextTaskError(message.error));
      this.#next();
    });
    const lost = (error: Error | number) => {
      if (worker !== this.#worker) return;
      this.#worker = null;
      const cause = error instanceof Error ? error : new Error(`exit code ${error}`);
      this.#settle()?.reject(new ServiceError('INTERNAL', 'the text thread ended unexpectedly', { cause }));
      this.#next();
    };
    worker.on('error', lost);
    worker.on('exit', lost);
    return worker;
  }

  #settle(): Waiting | null {
    clearTimeout(this.#timer);
    const running = this.#running;
    this.#running = null;
    return running;
  }

  async #stop(reason: Error): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    this.#settle()?.reject(reason);
    this.#next();
    await worker?.terminate();
  }
}
