/**
 * Server-sent events over an HTTP response. What is written within one turn of the event loop goes out in one write; a
 * slow reader makes `slow` a promise to wait for, so that no more is buffered than one write per sequence. While nothing
 * comes, comments keep clients and proxies from taking the connection for dead.
 */
import type { FastifyReply } from 'fastify';

/** Ticks of silence after which a comment is sent, and a tick in milliseconds. Clients and proxies often give up after 60 s. */
const pingTicks = 15;
const tickMs = 1_000;
/** Time for a refusal, such as by a full queue, to get a status of its own; then the headers go. */
const headersMs = 200;

export class EventStream {
  readonly #reply: FastifyReply;
  #buffer = '';
  #scheduled = false;
  #slow: Promise<void> | undefined;
  #started = false;
  #timer: NodeJS.Timeout | undefined;
  /** Ticks since something was written: counted, as resetting a timer with each token costs more. */
  #silentTicks = 0;
  /**
   * Whether chunks are framed here and written to the socket in one call. What Node's response does instead, four writes gathered
   * into one, takes a tenth of a server's time where streams are many and events small. It still begins and ends the answer.
   */
  #chunked = false;

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

  /** The request has been checked: headers go soon, whenever the first event comes. */
  open(): void {
    const response = this.#reply.raw;
    this.#timer = setTimeout(() => {
      this.#start();
      this.#sendHeaders();
      response.flushHeaders();
      this.#timer = setInterval(() => this.#tick(), tickMs);
    }, headersMs);
    response.once('close', () => clearInterval(this.#timer));
  }

  /** `data`: JSON without line ends. `event`: its name, where the dialect names events. */
  write(data: string, event: string | null = null): void {
    this.#push(event === null ? `data: ${data}\n\n` : `event: ${event}\ndata: ${data}\n\n`);
  }

  /** Nothing follows. An error's event is written as others are, and without [DONE], so that nobody takes the answer for a whole one. */
  close(): void {
    clearInterval(this.#timer);
    this.#flush();
    this.#reply.raw.end();
  }

  /** Nothing was sent, and the request is answered otherwise. */
  cancel(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#silentTicks += 1;
    if (this.#silentTicks >= pingTicks && this.#slow === undefined) this.#push(': ping\n\n');
  }

  #push(text: string): void {
    this.#buffer += text;
    this.#start();
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.#flush());
    }
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#reply.hijack();
  }

  #flush(): void {
    this.#scheduled = false;
    const response = this.#reply.raw;
    if (this.#buffer === '' || response.destroyed) return;
    if (!response.headersSent) this.#sendHeaders();
    this.#silentTicks = 0;
    const buffer = this.#buffer;
    this.#buffer = '';
    const writable = this.#chunked && response.socket !== null ? response.socket : response;
    const text = writable === response ? buffer : chunkOf(buffer);
    if (writable.write(text) || this.#slow !== undefined) return;
    this.#slow = new Promise((resolve) => {
      const ready = () => {
        writable.off('drain', ready);
        response.off('close', ready);
        this.#slow = undefined;
        resolve();
      };
      writable.on('drain', ready);
      response.on('close', ready);
    });
  }

  #sendHeaders(): void {
    const { raw } = this.#reply;
    if (raw.headersSent) return;
    // HTTP/1.0 has no chunks.
    this.#chunked = raw.req?.httpVersion === '1.1';
    raw.writeHead(200, {
      ...(this.#reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
      ...(this.#chunked ? { 'transfer-encoding': 'chunked' } : {}),
    });
    if (this.#chunked) raw.flushHeaders();
  }
}

/** A text as a chunk of HTTP/1.1. */
function chunkOf(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}
