/** The cache blocks of one sequence: entry i holds positions [i * blockSize, (i + 1) * blockSize). */
export class BlockTable {
  /** The first `count` entries are valid. */
  ids = new Int32Array(8);
  count = 0;
  /** Leading blocks whose content is registered for reuse. */
  registered = 0;
  /** Content id of the last registered block; 0 when there is none. */
  content = 0;

  push(block: number): void {
    if (this.count === this.ids.length) {
      const grown = new Int32Array(this.ids.length * 2);
      grown.set(this.ids);
      this.ids = grown;
    }
    this.ids[this.count++] = block;
  }

  holdsAny(blocks: ReadonlySet<number>): boolean {
    for (let i = 0; i < this.count; i++) if (blocks.has(this.ids[i]!)) return true;
    return false;
  }

  clear(): void {
    this.count = 0;
    this.registered = 0;
    this.content = 0;
  }
}
