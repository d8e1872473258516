import type { RankShard } from '../../native/native.ts';
import { type CacheFields, CacheGuard } from '../wire/cache-claim.ts';
import type { SeatOptions } from './seat-options.ts';
import type { SeatSpec } from './seat-spec.ts';

/** A rank other than 0 of a stage on this worker: a slice of heads and of dense parts, computed for the stage's owner. */
export class RankSeat {
  readonly kind = 'rank';
  readonly spec: SeatSpec;
  readonly #shard: RankShard;
  readonly #guard: CacheGuard;

  /** `epoch`: of the plan that gives the seat to this worker. */
  constructor(spec: SeatSpec, epoch: number, shard: RankShard) {
    this.spec = spec;
    this.#shard = shard;
    this.#guard = new CacheGuard(epoch);
  }

  /** For parts that keep nothing. */
  get shard(): RankShard {
    return this.#shard;
  }

  /** For steps that use the cache. Throws CacheRefused unless it is the asker's. */
  claimed(cache: CacheFields): RankShard {
    this.#guard.admit(cache);
    return this.#shard;
  }

  async close(): Promise<void> {
    this.#shard.close();
  }
}

/** Loads the weights of a rank, which a plan of this epoch gives to this worker. Rejects with a native error when they cannot be loaded. */
export async function takeRankSeat(spec: SeatSpec, epoch: number, options: SeatOptions): Promise<RankSeat> {
  return new RankSeat(spec, epoch, await options.createRankShard(spec, options.onProgress));
}
