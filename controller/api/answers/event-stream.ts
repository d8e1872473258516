/**
 * Server-sent events over an HTTP response. What is written within one turn of the event loop goes out in one write; a
 * slow reader makes `slow` a promise to wait for, so that no more is buffered than one write per sequence.
 */
import type { FastifyReply } from 'fastify';
import type { ServiceError } from '../../errors.ts';
import { errorBody } from './error-response.ts';

export class EventStream {
  readonly #reply: FastifyReply;
  #buffer = '';
  #scheduled = false;
  #slow: Promise<void> | undefined;
  #started = false;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
  }

  /** Whether the status line has been decided: errors can then only be sent as events. */
  get started(): boolean {
    return this.#started;
  }

  /** Resolves when a slow reader has caught up; undefined while it keeps up. */
  get slow(): Promise<void> | undefined {
    return this.#slow;
  }

  /** `data`: JSON without line ends. */
  write(data: string): void {
    this.#buffer += `data: ${data}\n\n`;
    if (!this.#started) {
      this.#started = true;
      this.#reply.hijack();
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.#flush());
    }
  }

  end(): void {
    this.write('[DONE]');
    this.#close();
  }

  /** Ends with an error event, and without [DONE], so that nobody takes the answer for a whole one. */
  fail(error: ServiceError): void {
    this.write(JSON.stringify(errorBody(error)));
    this.#close();
  }

  #close(): void {
    this.#flush();
    this.#reply.raw.end();
  }

  #flush(): void {
    this.#scheduled = false;
    const response = this.#reply.raw;
    if (this.#buffer === '' || response.destroyed) return;
    if (!response.headersSent) this.#sendHeaders();
    const buffer = this.#buffer;
    this.#buffer = '';
    if (response.write(buffer) || this.#slow !== undefined) return;
    this.#slow = new Promise((resolve) => {
      const ready = () => {
        response.off('drain', ready);
        response.off('close', ready);
        this.#slow = undefined;
        resolve();
      };
      response.on('drain', ready);
      response.on('close', ready);
    });
  }

  #sendHeaders(): void {
    this.#reply.raw.writeHead(200, {
      ...(this.#reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    });
  }
}
