/**
 * The same frames to every page that is open, as server-sent events. A frame is made and encoded once for all, and only
 * while somebody watches; a page that reads slowly misses frames, as each one holds everything.
 */
import type { ServerResponse } from 'node:http';
import { ServiceError } from '../../errors.ts';

export interface FeedOptions {
  /** A frame as JSON without line ends. */
  readonly frame: () => string;
  readonly intervalMs: number;
  /** Pages at a time; more get OVERLOADED. */
  readonly maxWatchers: number;
}

/** Frames that a watcher may miss in a row before its connection is closed: it does not read. */
const MOST_MISSED = 15;

interface Watcher {
  /** Whether its key is one still. */
  readonly allowed: () => boolean;
  /** Frames that it has missed in a row. */
  missed: number;
}

export class Feed {
  readonly #options: FeedOptions;
  readonly #watchers = new Map<ServerResponse, Watcher>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Sends `head` and, from now on, frames, while `allowed` says so. Throws before anything is written. */
  add(response: ServerResponse, headers: Readonly<Record<string, string>>, head: string, allowed: () => boolean): void {
    const { maxWatchers, frame, intervalMs } = this.#options;
    if (this.#closed) throw new ServiceError('UNAVAILABLE', 'the server is shutting down');
    if (this.#watchers.size >= maxWatchers) {
      throw new ServiceError('OVERLOADED', `${maxWatchers} dashboards are open, which is the limit`, {
        retryAfterSeconds: 10,
      });
    }
    const first = frame();
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    response.write(`event: session\ndata: ${head}\n\n${event(first)}`);
    this.#watchers.set(response, { allowed, missed: 0 });
    response.once('close', () => this.#leave(response));
    this.#timer ??= setInterval(() => this.#tick(), intervalMs);
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Ends all streams; nobody is let in any more. */
  close(): void {
    this.#closed = true;
    for (const response of this.#watchers.keys()) response.end();
  }

  #tick(): void {
    const bytes = Buffer.from(event(this.#options.frame()));
    for (const [response, watcher] of this.#watchers) {
      if (!watcher.allowed()) response.end();
      else if (!response.writableNeedDrain) {
        response.write(bytes);
        watcher.missed = 0;
      } else if (watcher.missed < MOST_MISSED) watcher.missed += 1;
      else response.destroy();
    }
  }

  #leave(response: ServerResponse): void {
    this.#watchers.delete(response);
    if (this.#watchers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function event(frame: string): string {
  return `event: frame\ndata: ${frame}\n\n`;
}
