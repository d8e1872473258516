/** Buffers kept of one size. */
const KEPT = 8;
/** Smallest and largest size that is kept, as powers of two. */
const [LEAST, MOST] = [12, 23];

/**
 * Memory for messages that is used again: fresh memory costs page faults and garbage collection, more than filling it.
 * What is never given back is garbage like any other buffer.
 */
export class BufferPool {
  readonly #free = new Map<number, Buffer[]>();

  /** A buffer of at least `bytes` bytes. What is in it does not matter. */
  take(bytes: number): Buffer {
    const size = Math.max(LEAST, Math.ceil(Math.log2(bytes)));
    if (size > MOST) return Buffer.allocUnsafeSlow(bytes);
    return this.#free.get(size)?.pop() ?? Buffer.allocUnsafeSlow(2 ** size);
  }

  /** Gives back what `take` gave, once nobody reads or writes it any more. */
  give(buffer: Buffer): void {
    const size = Math.log2(buffer.length);
    if (!Number.isInteger(size) || size < LEAST || size > MOST) return;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [buffer]);
    else if (free.length < KEPT) free.push(buffer);
  }
}
