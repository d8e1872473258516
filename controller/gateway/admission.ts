/**
 * Which requests are let in: so many at a time, and none while the server is stopping.
 */
import { setMaxListeners } from 'node:events';
import { ServiceError } from '../errors.ts';

export class Admission {
  readonly #limit: number;
  readonly #running = new Set<AbortController>();
  #draining = false;
  #retiring = false;
  readonly #whenEmpty: (() => void)[] = [];

  /** `limit`: requests at a time. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get running(): number {
    return this.#running.size;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Whether clients should look for another server. */
  get retiring(): boolean {
    return this.#retiring || this.#draining;
  }

  /** Lets a request in; its controller is aborted when the server stops before it ends. Call `leave` when it has ended. */
  enter(): AbortController {
    if (this.#draining) throw new ServiceError('UNAVAILABLE', 'the server is shutting down');
    if (this.#running.size >= this.#limit) {
      throw new ServiceError('OVERLOADED', `${this.#limit} requests are being processed, which is the limit`);
    }
    const controller = new AbortController();
    setMaxListeners(0, controller.signal);
    this.#running.add(controller);
    return controller;
  }

  leave(controller: AbortController): void {
    this.#running.delete(controller);
    if (this.#running.size > 0) return;
    for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  /** Lets requests in as before, but says that clients should look for another server. */
  retire(): void {
    this.#retiring = true;
  }

  /** Lets nobody in any more. */
  drain(): void {
    this.#draining = true;
  }

  /** Resolves when no request runs. */
  empty(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }

  /** Ends the requests that still run. */
  abortAll(): void {
    for (const controller of this.#running) {
      controller.abort(new ServiceError('UNAVAILABLE', 'the server shut down before the request was finished'));
    }
  }
}
