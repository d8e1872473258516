/** Memory for short-lived messages, cut from large pieces: the garbage collector then sees one buffer where there were hundreds. */
export class Slab {
  readonly #pieceBytes: number;
  #piece: Buffer;
  #used = 0;

  constructor(pieceBytes: number) {
    this.#pieceBytes = pieceBytes;
    this.#piece = Buffer.allocUnsafeSlow(pieceBytes);
  }

  /** Uninitialised bytes that begin at a multiple of 8. A piece is freed once everything cut from it is. */
  take(bytes: number): Buffer {
    if (bytes > this.#pieceBytes / 4) return Buffer.allocUnsafeSlow(bytes);
    if (this.#used + bytes > this.#pieceBytes) {
      this.#piece = Buffer.allocUnsafeSlow(this.#pieceBytes);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += Math.ceil(bytes / 8) * 8;
    return this.#piece.subarray(start, start + bytes);
  }
}
