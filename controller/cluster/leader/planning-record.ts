import { isDeepStrictEqual } from 'node:util';
import type { Bucket } from '../../../platform/bus/bus.ts';
import { PLANNING } from '../../../platform/bus/subjects.ts';
import type { LeftOutWorker__Output as LeftOutWorker } from '../../../proto/generated/conclave/v1/LeftOutWorker.ts';
import type { PlanningState__Output as PlanningState } from '../../../proto/generated/conclave/v1/PlanningState.ts';
import { conclave, encode } from '../../../proto/messages.ts';
import { retryAfterMs } from './left-out.ts';

const nothing: PlanningState = { problems: [], shortfalls: [], leftOut: [], pending: [], rebalanced: null };

/**
 * What a leader found when it planned last. It is on the bus too, where other controllers read it, and where the next leader
 * begins from. It is shown to people and begun from, never a fence: a late write of an old leader is replaced by the next one's.
 */
export class PlanningRecord {
  readonly #bucket: Bucket;
  #state = nothing;
  #written: PlanningState | null = null;
  /** When a worker that was left out is tried again, on this controller's own clock. */
  readonly #retryAt = new Map<string, number>();

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  get state(): PlanningState {
    return this.#state;
  }

  /** Begins from what the leader before wrote. */
  load(state: PlanningState | null): void {
    this.#state = state ?? nothing;
    this.#written = state;
    this.#retryAt.clear();
  }

  set(change: Partial<PlanningState>): void {
    this.#state = { ...this.#state, ...change };
  }

  /** Workers whose time to be tried again has come. `now`: monotonic milliseconds. */
  due(now: number): readonly LeftOutWorker[] {
    const { leftOut } = this.#state;
    const keyOf = ({ workerId, startedAtMs, failures }: LeftOutWorker): string =>
      `${workerId} ${startedAtMs} ${failures}`;
    const waiting = leftOut.filter(({ retrying }) => !retrying);
    const keys = new Set(waiting.map(keyOf));
    for (const key of this.#retryAt.keys()) if (!keys.has(key)) this.#retryAt.delete(key);
    return waiting.filter((entry) => {
      const at = this.#retryAt.get(keyOf(entry)) ?? now + retryAfterMs(entry.failures);
      this.#retryAt.set(keyOf(entry), at);
      return now >= at;
    });
  }

  /** Writes what has changed. `forgotten`: the bus has lost it. */
  async save(forgotten: boolean): Promise<void> {
    if (isDeepStrictEqual(this.#state, forgotten ? nothing : (this.#written ?? nothing))) return;
    const written = this.#state;
    await this.#bucket.put(PLANNING, encode(conclave.PlanningState, written));
    this.#written = written;
  }
}
