import type { RunResponse } from '../../proto/messages.ts';
import type { Piece } from '../text/sequence-text.ts';
import type { RequestObserver } from './observer.ts';

/** Reports to an observer what happens to one request, and when. Times are milliseconds. */
export class RequestMeter {
  readonly #observer: RequestObserver;
  readonly #now: () => number;
  readonly #promptTokens: number;
  readonly #arrivedAt: number;
  /** Per sequence; 0: none has come. */
  readonly #lastTokenAt: number[];
  #firstTokenAt: number | null = null;
  #started = false;
  #queueMs = 0;

  constructor(observer: RequestObserver, now: () => number, promptTokens: number, n: number) {
    this.#observer = observer;
    this.#now = now;
    this.#promptTokens = promptTokens;
    this.#arrivedAt = now();
    this.#lastTokenAt = new Array<number>(n).fill(0);
  }

  onResponse({ queueMs, cachedTokens }: RunResponse): void {
    if (this.#started) return;
    this.#started = true;
    this.#queueMs = queueMs;
    this.#observer.onStarted(queueMs, this.#promptTokens, cachedTokens);
  }

  /** `tokens`: of the whole sequence so far. */
  onPiece({ index, tokenIds, finish }: Piece, tokens: number): void {
    if (tokenIds.length > 0) {
      const at = this.#now();
      const last = this.#lastTokenAt[index] as number;
      if (this.#firstTokenAt === null) {
        this.#firstTokenAt = at;
        this.#observer.onFirstToken(at - this.#arrivedAt, this.#queueMs);
      }
      this.#observer.onTokens(tokenIds.length, last === 0 ? null : at - last);
      this.#lastTokenAt[index] = at;
    }
    if (finish !== null) this.#observer.onSequenceEnded(finish, tokens);
  }

  onFinished(): void {
    const decodeMs = this.#firstTokenAt === null ? 0 : Math.max(...this.#lastTokenAt) - this.#firstTokenAt;
    this.#observer.onFinished(this.#now() - this.#arrivedAt, decodeMs);
  }
}
