import type { ActivationType, ExpertBank, ExpertRows, ExpertSlot } from '../../native/native.ts';

/**
 * Experts that a stage computes itself because no replica can: loaded from the checkpoint on first need, into a bank of
 * their own, kept while they are needed, and freed by `release` once replicas answer again.
 */
export class ColdExperts {
  readonly #bank: ExpertBank;
  readonly #loads = new Map<string, Promise<unknown>>();
  readonly #onLoad: (slots: readonly ExpertSlot[]) => void;

  /** `onLoad` is told of slots that were loaded because no replica answered. */
  constructor(bank: ExpertBank, onLoad: (slots: readonly ExpertSlot[]) => void) {
    this.#bank = bank;
    this.#onLoad = onLoad;
  }

  /** Slots held only because replicas failed. */
  get size(): number {
    return this.#loads.size;
  }

  /** Weighted sums of the named slices, from this process; loads those that are missing first. */
  async forward(experts: ExpertRows, slices: number, partialType: ActivationType): Promise<Uint8Array> {
    await this.#loadMissing(experts, slices);
    return this.#bank.forward(experts, partialType);
  }

  /** Frees the slots that `isServed` says replicas answer for again. */
  release(isServed: (slot: ExpertSlot) => boolean): void {
    for (const key of this.#loads.keys()) {
      const slot = slotOf(key);
      if (!isServed(slot)) continue;
      this.#loads.delete(key);
      this.#bank.unload([slot]);
    }
  }

  async #loadMissing(experts: ExpertRows, slices: number): Promise<void> {
    const waits: Promise<unknown>[] = [];
    const missing: ExpertSlot[] = [];
    for (const sliceId of new Set(experts.topkIds)) {
      if (sliceId < 0) continue;
      const slot = { layer: experts.layer, expert: Math.floor(sliceId / slices), slice: sliceId % slices, slices };
      const loading = this.#loads.get(keyOf(slot));
      if (loading !== undefined) waits.push(loading);
      else if (!this.#bank.has(slot)) missing.push(slot);
    }
    if (missing.length > 0) {
      const load = this.#bank.load(missing, null);
      for (const slot of missing) this.#loads.set(keyOf(slot), load);
      load.then(
        () => this.#onLoad(missing),
        () => {
          for (const slot of missing) this.#loads.delete(keyOf(slot));
        },
      );
      waits.push(load);
    }
    await Promise.all(waits);
  }
}

function keyOf(slot: ExpertSlot): string {
  return `${slot.layer}/${slot.expert}/${slot.slice}/${slot.slices}`;
}

function slotOf(key: string): ExpertSlot {
  const [layer = 0, expert = 0, slice = 0, slices = 1] = key.split('/').map(Number);
  return { layer, expert, slice, slices };
}
