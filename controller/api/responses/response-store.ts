/**
 * Responses that later requests may go on from. They are kept in memory, the newest ones, up to a number and a size; `store: false`
 * keeps nothing.
 */
import type { Item } from './response-body.ts';

export interface StoredResponse {
  readonly response: { readonly id: string };
  /** What the request itself brought. */
  readonly input: readonly Item[];
  /** All items up to here, the answer's included. */
  readonly conversation: readonly Item[];
  /** Size of the conversation, in UTF-16 units. */
  readonly size: number;
}

export interface StoreLimits {
  readonly responses: number;
  readonly size: number;
}

const defaultLimits: StoreLimits = { responses: 4096, size: 2 ** 27 };

export class ResponseStore {
  readonly #limits: StoreLimits;
  /** In the order in which they were used last. */
  readonly #kept = new Map<string, StoredResponse>();
  #size = 0;

  constructor(limits: StoreLimits = defaultLimits) {
    this.#limits = limits;
  }

  get(id: string): StoredResponse | null {
    const stored = this.#kept.get(id);
    if (stored === undefined) return null;
    this.#kept.delete(id);
    this.#kept.set(id, stored);
    return stored;
  }

  /** `previous`: what the response goes on from. */
  keep(
    response: { readonly id: string; readonly output: readonly Item[] },
    input: readonly Item[],
    previous: StoredResponse | null,
  ): void {
    const own = [...input, ...response.output];
    const size = (previous?.size ?? 0) + JSON.stringify(response).length + JSON.stringify(input).length;
    if (size > this.#limits.size) return;
    this.#kept.set(response.id, { response, input, conversation: [...(previous?.conversation ?? []), ...own], size });
    this.#size += size;
    for (const id of this.#kept.keys()) {
      if (this.#kept.size <= this.#limits.responses && this.#size <= this.#limits.size) return;
      this.delete(id);
    }
  }

  /** False: it was not there. */
  delete(id: string): boolean {
    this.#size -= this.#kept.get(id)?.size ?? 0;
    return this.#kept.delete(id);
  }
}
