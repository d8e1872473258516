/**
 * Slots for what a layer keeps of a sequence besides paged keys and values: state of a fixed size, such as a recurrence's.
 * A sequence has one slot for all such layers. State is not shared, and it is lost when its slot is freed: native code
 * begins with zeros wherever a sequence's rows begin at position 0.
 */
export class StateSlots {
  readonly slotCount: number;
  readonly #free: number[];
  #releases = 0;

  constructor(slotCount: number) {
    this.slotCount = slotCount;
    this.#free = Array.from({ length: slotCount }, (_, slot) => slotCount - 1 - slot);
  }

  get usedCount(): number {
    return this.slotCount - this.#free.length;
  }

  /** Times that a slot has become free. */
  get releases(): number {
    return this.#releases;
  }

  /** A free slot; null when there is none. */
  take(): number | null {
    return this.#free.pop() ?? null;
  }

  release(slot: number): void {
    this.#free.push(slot);
    this.#releases++;
  }
}
