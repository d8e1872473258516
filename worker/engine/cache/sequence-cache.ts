import { BlockTable } from './block-table.ts';

/** What one sequence holds of the cache. */
export class SequenceCache {
  /** Blocks of the paged cache. */
  readonly table = new BlockTable();
  /** Slot for state of fixed size; -1: none. */
  stateSlot = -1;
}
