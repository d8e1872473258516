import type { EncodedTotals, ExpertBank, ExpertRows, ExpertSlot } from '../../native/native.ts';

/**
 * Experts that a stage computes itself because no replica can: loaded from the checkpoint on first need, into a bank of
 * their own, kept while they are needed and fit, and freed by `release` once replicas answer again. Where they do not fit
 * together, those used longest ago make room: slower, but within the memory that there is.
 */
export class ColdExperts {
  readonly #bank: ExpertBank;
  /** Those used longest ago first. */
  readonly #slots = new Map<string, ColdSlot>();
  readonly #budgetBytes: () => number;
  readonly #onLoad: (slots: readonly ExpertSlot[]) => void;

  /**
   * `budgetBytes`: what slots that nobody computes with may take. `onLoad` is called with slots that were loaded because no
   * replica answered.
   */
  constructor(bank: ExpertBank, budgetBytes: () => number, onLoad: (slots: readonly ExpertSlot[]) => void) {
    this.#bank = bank;
    this.#budgetBytes = budgetBytes;
    this.#onLoad = onLoad;
  }

  /** Slots held only because replicas failed. */
  get size(): number {
    return this.#slots.size;
  }

  /** Weighted sums of the named slices, from this process; loads those that are missing first. */
  async forward(experts: ExpertRows, slices: number): Promise<EncodedTotals> {
    const used = this.#use(experts, slices);
    try {
      await Promise.all(used.map(({ loading }) => loading));
      return await this.#bank.forward(experts);
    } finally {
      for (const slot of used) slot.users--;
      this.#makeRoom();
    }
  }

  /** Frees the slots that nobody is computing with and that `isServed` says replicas answer for again. */
  release(isServed: (slot: ExpertSlot) => boolean): void {
    for (const entry of this.#slots.values()) if (entry.users === 0 && isServed(entry.slot)) this.#free(entry);
  }

  #makeRoom(): void {
    const budget = this.#budgetBytes();
    for (const entry of this.#slots.values()) {
      if (this.#bank.bytes <= budget) return;
      if (entry.users === 0) this.#free(entry);
    }
  }

  #free({ slot }: ColdSlot): void {
    this.#slots.delete(keyOf(slot));
    this.#bank.unload([slot]);
  }

  /** The slots that these rows need, each with one more user; begins to load those that are missing. */
  #use(experts: ExpertRows, slices: number): readonly ColdSlot[] {
    const used: ColdSlot[] = [];
    const missing: ColdSlot[] = [];
    for (const sliceId of new Set(experts.topkIds)) {
      if (sliceId < 0) continue;
      const slot = { layer: experts.layer, expert: Math.floor(sliceId / slices), slice: sliceId % slices, slices };
      const known = this.#slots.get(keyOf(slot));
      const entry = known ?? { slot, users: 0, loading: Promise.resolve() };
      if (known === undefined) missing.push(entry);
      this.#slots.delete(keyOf(slot));
      this.#slots.set(keyOf(slot), entry);
      entry.users++;
      used.push(entry);
    }
    if (missing.length > 0) this.#load(missing);
    return used;
  }

  #load(missing: readonly ColdSlot[]): void {
    const slots = missing.map(({ slot }) => slot);
    const loading = this.#bank.load(slots, null).then(
      () => this.#onLoad(slots),
      (error: unknown) => {
        for (const slot of slots) this.#slots.delete(keyOf(slot));
        throw error;
      },
    );
    for (const entry of missing) entry.loading = loading;
  }
}

interface ColdSlot {
  readonly slot: ExpertSlot;
  loading: Promise<void>;
  /** Computations that need it now. */
  users: number;
}

function keyOf(slot: ExpertSlot): string {
  return `${slot.layer}/${slot.expert}/${slot.slice}/${slot.slices}`;
}
