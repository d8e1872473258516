import { type ServerDuplexStream, status } from '@grpc/grpc-js';

/** A peer that is refused so often without one answer between asks for nothing that makes sense: its stream is ended. */
const MAX_REFUSALS = 256;

/**
 * The answering side of a stream between workers. A peer that does not read its answers is not read from, and one that
 * sends nothing but nonsense is cut off.
 */
export class AnswerStream<Request, Response> {
  readonly #stream: ServerDuplexStream<Request, Response>;
  /** What is refused, in the plural. */
  readonly #what: string;
  #open = true;
  #refusals = 0;

  constructor(stream: ServerDuplexStream<Request, Response>, what: string) {
    this.#stream = stream;
    this.#what = what;
    const end = (): void => {
      this.#open = false;
    };
    stream.on('cancelled', end);
    stream.on('error', end);
    stream.on('close', end);
    stream.on('end', () => {
      if (this.#open) stream.end();
      end();
    });
    stream.on('drain', () => {
      if (this.#open) stream.resume();
    });
  }

  /** Calls back for each request, until the stream has ended or is cut off. */
  onRequest(listener: (request: Request) => void): void {
    this.#stream.on('data', (request: Request) => {
      if (this.#open) listener(request);
    });
  }

  /** Sends the result of a request. */
  answer(response: Response): void {
    this.#refusals = 0;
    this.#write(response);
  }

  /** Sends the error of a request; `reason` is what it says. */
  refuse(response: Response, reason: string): void {
    this.#write(response);
    this.#refusals++;
    if (!this.#open || this.#refusals < MAX_REFUSALS) return;
    this.#open = false;
    this.#stream.pause();
    const details = `${this.#refusals} ${this.#what} in a row were refused, the last one because: ${reason}`;
    this.#stream.emit('error', { code: status.RESOURCE_EXHAUSTED, details });
  }

  #write(response: Response): void {
    if (this.#open && !this.#stream.write(response)) this.#stream.pause();
  }
}
