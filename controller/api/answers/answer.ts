/**
 * What chat and text completions have in common when they answer: choices numbered over all prompts, and usage.
 */
import type { AddProgress } from '../../gateway/inference.ts';
import type { EventStream } from './event-stream.ts';
import type { UsageCounter } from './usage.ts';

/** An answer in the making. */
export interface Answer {
  readonly usage: UsageCounter;
  add(...progress: Parameters<AddProgress>): ReturnType<AddProgress>;
}

/** An answer that is sent as one JSON document. */
export interface WholeAnswer extends Answer {
  toJSON(): object;
}

/** What all chunks of a stream, and the whole answer, say about themselves. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
}

export interface ChunkOptions {
  /** End the stream with a chunk that carries usage. */
  readonly includeUsage: boolean;
  /** Usage so far in every chunk. */
  readonly continuousUsage: boolean;
}

/** Writes chunks of a stream. The parts that do not change are serialised once. */
export class ChunkWriter {
  readonly #stream: EventStream;
  readonly #usage: UsageCounter;
  readonly #options: ChunkOptions;
  readonly #head: string;

  constructor(stream: EventStream, object: string, head: AnswerHead, usage: UsageCounter, options: ChunkOptions) {
    this.#stream = stream;
    this.#usage = usage;
    this.#options = options;
    this.#head = `${JSON.stringify({ object, ...head }).slice(0, -1)},"choices":[`;
  }

  /** `choice`: the chunk's one choice as JSON; `members`: what the chunk has besides, as JSON of an object without its braces. */
  write(choice: string, members = ''): void {
    this.#stream.write(`${this.#head}${choice}]${members === '' ? '' : `,${members}`}${this.#usageMember()}}`);
  }

  /** Resolves when a slow reader has caught up; undefined while it keeps up. */
  get slow(): Promise<void> | undefined {
    return this.#stream.slow;
  }

  /** Ends the stream. */
  end(): void {
    if (this.#options.includeUsage) this.#stream.write(`${this.#head}],"usage":${JSON.stringify(this.#usage)}}`);
    this.#stream.write('[DONE]');
    this.#stream.close();
  }

  #usageMember(): string {
    if (!this.#options.includeUsage) return '';
    return this.#options.continuousUsage ? `,"usage":${JSON.stringify(this.#usage)}` : ',"usage":null';
  }
}
