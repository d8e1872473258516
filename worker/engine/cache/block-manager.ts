/**
 * The paged cache's blocks: who holds them, and which computed ones can be shared.
 *
 * A full block that has been computed is registered under the hash of (what precedes it, its token ids); a lookup compares
 * both exactly, so equal hashes never share wrongly. "What precedes it" is the content id of the block before: a number
 * that is never used twice. Free blocks form one list: those with nothing to reuse in front, then registered ones, least
 * recently used first; allocation takes from the front.
 */
import type { BlockTable } from './block-table.ts';

/** Token ids of a sequence by position. */
export interface TokenSource {
  tokenAt(position: number): number;
}

export interface BlockManagerOptions {
  readonly blockCount: number;
  /** Positions per block. */
  readonly blockSize: number;
  readonly caching: boolean;
  /** 32 random bits, so that nobody outside can choose tokens whose hashes collide. */
  readonly salt: number;
}

const rootContent = 0;

export class BlockManager {
  readonly blockCount: number;
  readonly blockSize: number;
  /** Whether computed blocks are kept and shared. */
  readonly caching: boolean;
  readonly #salt: number;
  readonly #references: Int32Array;
  /** Free list: neighbours of each free block; entry blockCount is the head and the tail. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** Registered content of each block: its id (0: not registered), the id before it, its hash and its tokens. */
  readonly #content: Float64Array;
  readonly #parent: Float64Array;
  readonly #hash: Int32Array;
  readonly #tokens: Int32Array;
  readonly #byHash = new Map<number, number>();
  #lastContent = rootContent;
  #free: number;
  #releases = 0;

  constructor({ blockCount, blockSize, caching, salt }: BlockManagerOptions) {
    this.blockCount = blockCount;
    this.blockSize = blockSize;
    this.caching = caching;
    this.#salt = salt | 0;
    this.#references = new Int32Array(blockCount);
    this.#next = new Int32Array(blockCount + 1);
    this.#previous = new Int32Array(blockCount + 1);
    this.#content = new Float64Array(blockCount);
    this.#parent = new Float64Array(blockCount);
    this.#hash = new Int32Array(blockCount);
    this.#tokens = new Int32Array(blockCount * blockSize);
    this.#free = blockCount;
    for (let at = 0; at <= blockCount; at++) {
      this.#next[at] = at === blockCount ? 0 : at + 1;
      this.#previous[at] = at === 0 ? blockCount : at - 1;
    }
  }

  /** Blocks that nobody holds, those kept for reuse included. */
  get freeCount(): number {
    return this.#free;
  }

  get usedCount(): number {
    return this.blockCount - this.#free;
  }

  /** Times that blocks have become free: as long as it stands still, what did not fit does not fit. */
  get releases(): number {
    return this.#releases;
  }

  blocksFor(positions: number): number {
    return Math.ceil(positions / this.blockSize);
  }

  /** Fills an empty table with the blocks that hold the sequence's first positions, `limit` at most. Returns the positions found. */
  reuse(table: BlockTable, tokens: TokenSource, limit: number): number {
    if (!this.caching) return 0;
    for (let end = this.blockSize; end <= limit; end += this.blockSize) {
      const start = end - this.blockSize;
      const block = this.#find(this.#hashOf(table.content, tokens, start), table.content, tokens, start);
      if (block === null) break;
      if (this.#references[block] === 0) this.#unlink(block);
      this.#references[block]!++;
      table.push(block);
      table.registered++;
      table.content = this.#content[block]!;
    }
    return table.count * this.blockSize;
  }

  /** Extends the table to `count` blocks. Returns false, changing nothing, when too few are free. */
  grow(table: BlockTable, count: number): boolean {
    if (count - table.count > this.#free) return false;
    while (table.count < count) {
      const block = this.#next[this.blockCount]!;
      this.#unlink(block);
      this.#unregister(block);
      this.#references[block] = 1;
      table.push(block);
    }
    return true;
  }

  /** Registers the full blocks among the first `computed` positions, so that other sequences can reuse them. */
  commit(table: BlockTable, tokens: TokenSource, computed: number): void {
    if (!this.caching) return;
    const full = Math.floor(computed / this.blockSize);
    while (table.registered < full) {
      const index = table.registered++;
      table.content = this.#register(table.ids[index]!, table.content, tokens, index * this.blockSize);
    }
  }

  /** Gives up the table's blocks and empties it. Its last blocks are the first to be forgotten: they are of least use. */
  release(table: BlockTable): void {
    for (let index = table.count - 1; index >= 0; index--) {
      const block = table.ids[index]!;
      if (--this.#references[block]! > 0) continue;
      this.#free++;
      this.#releases++;
      if (this.#content[block] === rootContent) this.#link(block, this.blockCount);
      else this.#link(block, this.#previous[this.blockCount]!);
    }
    table.clear();
  }

  /** The block's content is not to be reused any more. */
  invalidate(block: number): void {
    if (this.#content[block] === rootContent) return;
    this.#unregister(block);
    if (this.#references[block] === 0) {
      this.#unlink(block);
      this.#free++;
      this.#link(block, this.blockCount);
    }
  }

  invalidateAll(): void {
    for (let block = 0; block < this.blockCount; block++) this.invalidate(block);
  }

  referencesOf(block: number): number {
    return this.#references[block]!;
  }

  /** Registers a block's content and returns the content's id: that of an equal block when there is one already. */
  #register(block: number, parent: number, tokens: TokenSource, start: number): number {
    const hash = this.#hashOf(parent, tokens, start);
    const equal = this.#find(hash, parent, tokens, start);
    if (equal !== null) return this.#content[equal]!;
    const collision = this.#byHash.get(hash);
    if (collision !== undefined) this.invalidate(collision);
    const offset = block * this.blockSize;
    for (let i = 0; i < this.blockSize; i++) this.#tokens[offset + i] = tokens.tokenAt(start + i);
    this.#hash[block] = hash;
    this.#parent[block] = parent;
    this.#byHash.set(hash, block);
    this.#content[block] = ++this.#lastContent;
    return this.#lastContent;
  }

  #unregister(block: number): void {
    if (this.#content[block] === rootContent) return;
    this.#byHash.delete(this.#hash[block]!);
    this.#content[block] = rootContent;
  }

  #find(hash: number, parent: number, tokens: TokenSource, start: number): number | null {
    const block = this.#byHash.get(hash);
    if (block === undefined || this.#parent[block] !== parent) return null;
    const offset = block * this.blockSize;
    for (let i = 0; i < this.blockSize; i++) {
      if (this.#tokens[offset + i] !== tokens.tokenAt(start + i)) return null;
    }
    return block;
  }

  #hashOf(parent: number, tokens: TokenSource, start: number): number {
    let hash = mix(mix(this.#salt, parent | 0), Math.floor(parent / 2 ** 32));
    for (let i = 0; i < this.blockSize; i++) hash = mix(hash, tokens.tokenAt(start + i));
    return hash;
  }

  /** Puts a free block into the free list behind `before`. */
  #link(block: number, before: number): void {
    const after = this.#next[before]!;
    this.#next[before] = block;
    this.#previous[block] = before;
    this.#next[block] = after;
    this.#previous[after] = block;
  }

  #unlink(block: number): void {
    const before = this.#previous[block]!;
    const after = this.#next[block]!;
    this.#next[before] = after;
    this.#previous[after] = before;
    this.#free--;
  }
}

/** One round of MurmurHash3's 32-bit mixing. */
function mix(hash: number, value: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}
