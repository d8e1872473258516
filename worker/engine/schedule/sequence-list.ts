import type { Sequence } from './sequence.ts';

/** Sequences in order of arrival. */
export class SequenceList {
  readonly items: Sequence[] = [];

  get length(): number {
    return this.items.length;
  }

  get first(): Sequence | undefined {
    return this.items[0];
  }

  insert(sequence: Sequence): void {
    this.items.splice(this.#placeOf(sequence.order), 0, sequence);
  }

  remove(sequence: Sequence): void {
    const place = this.#placeOf(sequence.order);
    if (this.items[place] === sequence) this.items.splice(place, 1);
  }

  /** Index of the first sequence that did not arrive before `order`. */
  #placeOf(order: number): number {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.items[middle]!.order < order) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
