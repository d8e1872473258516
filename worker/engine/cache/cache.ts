import type { BlockManager, TokenSource } from './block-manager.ts';
import type { SequenceCache } from './sequence-cache.ts';
import type { StateSlots } from './state-slots.ts';

/** A sequence, as the cache sees it. */
export interface CachedTokens extends TokenSource {
  /** Tokens in all. */
  readonly length: number;
  /** Leading positions that need not be computed when they are cached. */
  readonly reusable: number;
}

/**
 * All that sequences keep between steps: blocks of the paged cache and, for models that have it, state of fixed size. A
 * sequence gets both or neither. State is known only where a sequence ends, so that a model with state computes its
 * prompts from the start: a shared prefix spares nothing.
 */
export class Cache {
  readonly blocks: BlockManager;
  readonly #states: StateSlots | null;

  /** `states`: null for a model that has no state of fixed size. */
  constructor(blocks: BlockManager, states: StateSlots | null) {
    this.blocks = blocks;
    this.#states = states;
  }

  /** Positions that a prompt must have before another sequence can reuse any of it. */
  get shortestReuse(): number {
    return this.#reuses ? this.blocks.blockSize : Number.POSITIVE_INFINITY;
  }

  /** Times that something has become free: as long as it stands still, what did not fit does not fit. */
  get releases(): number {
    return this.blocks.releases + (this.#states?.releases ?? 0);
  }

  /**
   * Gives a sequence that holds nothing room for all its tokens, and leaves `spared` blocks free. Returns the leading
   * positions that are in the cache already; null, changing nothing, when there is too little room.
   */
  admit(cache: SequenceCache, tokens: CachedTokens, spared: number): number | null {
    const slot = this.#states === null ? -1 : this.#states.take();
    if (slot === null) return null;
    cache.stateSlot = slot;
    const reused = this.#reuses ? this.blocks.reuse(cache.table, tokens, tokens.reusable) : 0;
    const count = this.blocks.blocksFor(tokens.length);
    if (count - cache.table.count + spared <= this.blocks.freeCount && this.blocks.grow(cache.table, count)) {
      return reused;
    }
    this.release(cache);
    return null;
  }

  /** Extends a sequence's room to `length` positions. Returns false, changing nothing, when there is too little. */
  grow(cache: SequenceCache, length: number): boolean {
    return this.blocks.grow(cache.table, this.blocks.blocksFor(length));
  }

  /** Takes in that the first `computed` positions are in the cache, so that other sequences can reuse them. */
  commit(cache: SequenceCache, tokens: TokenSource, computed: number): void {
    if (this.#reuses) this.blocks.commit(cache.table, tokens, computed);
  }

  /** Frees what a sequence holds. */
  release(cache: SequenceCache): void {
    this.blocks.release(cache.table);
    if (cache.stateSlot < 0) return;
    this.#states?.release(cache.stateSlot);
    cache.stateSlot = -1;
  }

  /** Nothing that these sequences hold, or nothing at all, is to be reused any more. Returns their blocks. */
  spoil(caches: Iterable<SequenceCache>, everything: boolean): ReadonlySet<number> {
    const spoilt = new Set<number>();
    for (const { table } of caches) {
      for (let i = 0; i < table.count; i++) {
        spoilt.add(table.ids[i]!);
        this.blocks.invalidate(table.ids[i]!);
      }
    }
    if (everything) this.blocks.invalidateAll();
    return spoilt;
  }

  get #reuses(): boolean {
    return this.blocks.caching && this.#states === null;
  }
}
