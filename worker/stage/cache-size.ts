/** How large the paged cache of a stage is. */
import type { Native, RankSlice, WeightStore } from '../../native/native.ts';
import type { ModelSpec, PlacementPlan } from '../../proto/messages.ts';
import { cacheType, positionBytes, wholeModel } from '../../proto/model/cache.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import { plannedRanks } from '../plan/plan-slots.ts';

/** Bytes that one block of `blockSize` positions takes over all layers. */
export function blockBytes(spec: ModelSpec, weights: WeightsFormat, blockSize: number): number {
  return positionBytes(spec, cacheType(weights), wholeModel(spec)) * blockSize;
}

export interface CacheRequest {
  readonly spec: ModelSpec;
  readonly weights: WeightsFormat;
  readonly blockSize: number;
  /** Longest sequence, in tokens. */
  readonly maxModelLen: number;
  /** Sequences that run at once. */
  readonly maxSequences: number;
  /** Bytes that the cache may take. */
  readonly budgetBytes: number;
}

export interface CacheSize {
  readonly kvBlocks: number;
  readonly bytes: number;
  /** Longest sequence that fits, in tokens: maxModelLen, or less where the budget is too small for it. */
  readonly maxModelLen: number;
}

/**
 * As many blocks as the budget allows, but no more than all sequences at full length can use. Throws a RangeError when the
 * budget is below one block.
 */
export function cacheSize(request: CacheRequest): CacheSize {
  const { spec, weights, blockSize, maxModelLen, maxSequences, budgetBytes } = request;
  const perBlock = blockBytes(spec, weights, blockSize);
  const useful = maxSequences * Math.ceil(maxModelLen / blockSize);
  const kvBlocks = Math.min(useful, Math.floor(budgetBytes / perBlock));
  if (!(kvBlocks >= 1)) {
    throw new RangeError(
      `the cache's budget of ${budgetBytes} bytes is below one block: ${blockSize} positions take ${perBlock} bytes`,
    );
  }
  return { kvBlocks, bytes: kvBlocks * perBlock, maxModelLen: Math.min(maxModelLen, kvBlocks * blockSize) };
}

/** Bytes of weights and cache that a plan puts on a worker. */
export function plannedBytes(plan: PlacementPlan, workerId: string): number {
  const weightBytes = plan.workers.find(({ id }) => id === workerId)?.weightBytes ?? 0;
  return plannedRanks(plan, workerId).reduce((sum, { cacheBytes }) => sum + cacheBytes, weightBytes);
}

/** A rank's cache as it is to be made, with the bytes that were counted for it. */
export interface AnnouncedCache extends RankSlice {
  readonly kvBlocks: number;
  readonly blockSize: number;
  readonly cacheBytes: number;
}

/** Throws before any memory is taken unless the cache takes what was counted for it, to the byte. */
export function checkCacheBytes(native: Native, store: WeightStore, cache: AnnouncedCache): void {
  const bytes = native.cacheBytes(store, cache);
  if (bytes === cache.cacheBytes) return;
  throw new Error(
    `cache of layers ${cache.firstLayer} to ${cache.endLayer - 1}: ${cache.kvBlocks} blocks of ${cache.blockSize} positions take ${bytes} bytes here, ` +
      `but ${cache.cacheBytes} were planned; run the same version of conclave on controllers and workers`,
  );
}
