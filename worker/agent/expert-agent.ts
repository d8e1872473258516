import type { ExpertBank, ExpertSlot } from '../../native/native.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import type { HeldSlices } from '../plan/expert-routes.ts';
import { type PlannedSlot, plannedSlots, slotKey } from '../plan/plan-slots.ts';

export interface ExpertAgentOptions {
  readonly workerId: string;
  readonly bank: ExpertBank;
  /** Called whenever what `progress` or `held` say has changed. */
  readonly onChange: () => void;
  /** Resolves once no stage routes to slots that left the list, or after a while at the latest. */
  readonly routesSettled: (epoch: number) => Promise<void>;
  /** Slots could not be loaded: an error of the engine, or of what was found in the checkpoint. */
  readonly onLoadFailed?: (error: unknown) => void;
  /** Slots loaded at a time: each batch is ready, and reported, as a whole. */
  readonly batchSlots?: number;
}

/** How far the bank is with the target plan. */
export interface ExpertProgress {
  readonly epoch: number;
  readonly slotsWanted: number;
  readonly slotsReady: number;
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** Why the plan cannot be carried out here; null while it can. */
  readonly error: string | null;
}

const NOTHING: ExpertProgress = { epoch: 0, slotsWanted: 0, slotsReady: 0, loadedBytes: 0, totalBytes: 0, error: null };

/**
 * Makes a bank hold what plans want of this worker, make before break: slots of the target plan are loaded and verified in
 * the background and listed as held one batch after another; slots that neither the target nor the committed plan wants
 * leave when no stage routes to them any more.
 */
export class ExpertAgent {
  readonly #options: ExpertAgentOptions;
  readonly #loaded = new Map<string, PlannedSlot>();
  #held: readonly HeldSlices[] | null = null;
  #target: PlacementPlan | null = null;
  #committed: PlacementPlan | null = null;
  #progress = NOTHING;
  #running = false;
  #stale = false;

  constructor(options: ExpertAgentOptions) {
    this.#options = options;
  }

  get progress(): ExpertProgress {
    return this.#progress;
  }

  /** Slots that answer now and are meant to be used, by layer; the same array until they change. */
  get held(): readonly HeldSlices[] {
    this.#held ??= heldByLayer(this.#loaded.values());
    return this.#held;
  }

  /** Whether nothing is loaded, and so nobody can be using anything. */
  get empty(): boolean {
    return this.#loaded.size === 0;
  }

  /** Works towards `target` while keeping what `committed` wants. Returns at once. */
  follow(target: PlacementPlan | null, committed: PlacementPlan | null): void {
    this.#target = target;
    this.#committed = committed;
    this.#stale = true;
    if (!this.#running) void this.#reconcile();
  }

  async #reconcile(): Promise<void> {
    this.#running = true;
    while (this.#stale) {
      this.#stale = false;
      const { workerId } = this.#options;
      const target = this.#target;
      try {
        const wanted = target === null ? [] : plannedSlots(target, workerId);
        await this.#load(target?.epoch ?? 0, wanted);
        if (!this.#stale) await this.#free(wanted);
      } catch (error) {
        this.#report({ error: messageOf(error) });
      }
    }
    this.#running = false; // In the same turn as the last look: a plan that comes later starts it again.
  }

  async #load(epoch: number, wanted: readonly PlannedSlot[]): Promise<void> {
    const { bank, batchSlots = 32 } = this.#options;
    const missing = wanted.filter((slot) => !this.#loaded.has(slotKey(slot)));
    let done = 0;
    this.#report({ epoch, slotsWanted: wanted.length, slotsReady: wanted.length - missing.length });
    for (let first = 0; first < missing.length && !this.#stale; first += batchSlots) {
      const batch = missing.slice(first, first + batchSlots);
      try {
        const onProgress = (bytes: number, total: number): void => {
          this.#progress = {
            ...this.#progress,
            loadedBytes: done + bytes,
            totalBytes: estimate(done, first, total, batch.length, missing.length),
          };
          this.#options.onChange();
        };
        const loaded = await bank.load(batch, onProgress);
        const wrong = batch.flatMap((slot, i) => checksumProblem(slot, loaded[i]?.checksum ?? 0));
        if (wrong.length > 0) {
          bank.unload(batch);
          throw new Error(summary(wrong));
        }
        done += loaded.reduce((sum, slot) => sum + slot.bytes, 0);
      } catch (error) {
        this.#options.onLoadFailed?.(error);
        this.#report({ error: messageOf(error) });
        return;
      }
      for (const slot of batch) this.#loaded.set(slotKey(slot), slot);
      this.#held = null;
      this.#report({ slotsReady: this.#progress.slotsReady + batch.length, loadedBytes: done });
    }
  }

  async #free(wanted: readonly PlannedSlot[]): Promise<void> {
    const { workerId, bank, routesSettled } = this.#options;
    const kept = this.#committed === null ? [] : plannedSlots(this.#committed, workerId);
    const keep = new Set([...wanted, ...kept].map(slotKey));
    const surplus = [...this.#loaded].filter(([key]) => !keep.has(key));
    if (surplus.length === 0) return;
    await routesSettled(this.#committed?.epoch ?? 0);
    if (this.#stale) return; // A newer plan may want them back.
    for (const [key, slot] of surplus) {
      this.#loaded.delete(key);
      bank.unload([slot]);
    }
    this.#held = null;
    this.#options.onChange();
  }

  #report(change: Partial<ExpertProgress>): void {
    const fresh = change.epoch !== undefined;
    this.#progress = { ...(fresh ? NOTHING : this.#progress), ...change };
    this.#options.onChange();
  }
}

function heldByLayer(slots: Iterable<ExpertSlot>): readonly HeldSlices[] {
  const layers = new Map<number, { slices: number; sliceIds: number[] }>();
  for (const { layer, expert, slice, slices } of slots) {
    const entry = layers.get(layer) ?? { slices, sliceIds: [] };
    entry.sliceIds.push(expert * slices + slice);
    layers.set(layer, entry);
  }
  return [...layers].map(([layer, { slices, sliceIds }]) => ({
    layer,
    slices,
    sliceIds: sliceIds.sort((a, b) => a - b),
  }));
}

function checksumProblem({ layer, expert, slice, checksum }: PlannedSlot, found: number): readonly string[] {
  if (checksum === null || checksum === found) return [];
  const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;
  return [`layer ${layer} expert ${expert} slice ${slice}: checksum ${hex(found)}, expected ${hex(checksum)}`];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Slots named in an error; a wrong checkpoint has very many. */
const NAMED = 3;

function summary(problems: readonly string[]): string {
  const more = problems.length > NAMED ? ` and ${problems.length - NAMED} more` : '';
  return `${problems.slice(0, NAMED).join('; ')}${more}: the checkpoint here is damaged or another one`;
}

/** Bytes in all, taking the slots still to come to be as large as those so far. */
function estimate(doneBytes: number, doneSlots: number, batchBytes: number, batchSlots: number, slots: number): number {
  const known = doneBytes + batchBytes;
  return Math.round((known / (doneSlots + batchSlots)) * slots);
}
