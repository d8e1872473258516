/**
 * Who may write into the part of a pipeline's cache that another worker holds.
 *
 * The owner of a stage names the contents of that cache by an id, a new one whenever it begins with an empty
 * cache: at its start and after a loss. A holder takes steps for the id that it knows, and a new id only from a step that
 * needs nothing from the cache (fresh) under no older a plan. So an owner that was replaced, or a holder that was started
 * again, cannot mix one owner's rows into another's, whatever either of them has seen on the bus.
 */

import type { CodedError } from '../errors.ts';

/** As it travels with each step. */
export interface CacheFields {
  /** Names the contents. */
  readonly cacheId: number;
  /** No step under this id has succeeded yet. */
  readonly cacheFresh: boolean;
  /** PlacementPlan.epoch of the newest plan, as the owner knows it, that makes it the owner. */
  readonly cacheEpoch: number;
}

/** The owner's side. */
export class CacheClaim {
  readonly #newId: () => number;
  #epoch: number;
  #id: number;
  #fresh = true;

  /** `newId`: a whole number > 0 that no other claim has had. */
  constructor(newId: () => number, epoch: number) {
    this.#newId = newId;
    this.#epoch = epoch;
    this.#id = newId();
  }

  get fields(): CacheFields {
    return { cacheId: this.#id, cacheFresh: this.#fresh, cacheEpoch: this.#epoch };
  }

  /** A plan of this epoch makes this worker the owner, still or again. */
  renew(epoch: number): void {
    this.#epoch = Math.max(this.#epoch, epoch);
  }

  /** A step has come back: the cache holds something. */
  succeeded(): void {
    this.#fresh = false;
  }

  /** Nothing in the cache is relied upon any more. */
  lost(): void {
    this.#id = this.#newId();
    this.#fresh = true;
  }
}

/** The holder refused a step: the owner must compute its sequences again, or is the owner no more. */
export class CacheRefused extends Error implements CodedError {
  override readonly name = 'CacheRefused';
  readonly code = 'CACHE_LOST';
}

/** The holder's side. */
export class CacheGuard {
  #id = 0;
  #epoch: number;

  /** `epoch`: of the plan for which this cache was made. Who owned one like it by an older plan owns none of this. */
  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** Throws CacheRefused unless the step may use this cache. */
  admit({ cacheId, cacheFresh, cacheEpoch }: CacheFields): void {
    if (cacheEpoch < this.#epoch) {
      throw new CacheRefused(`cache_epoch: plan ${this.#epoch} gave this cache to another worker, got ${cacheEpoch}`);
    }
    if (cacheId !== this.#id && !cacheFresh) {
      throw new CacheRefused(`cache_id: the cache here is not what it was when ${cacheId} was written`);
    }
    this.#id = cacheId;
    this.#epoch = cacheEpoch;
  }
}
