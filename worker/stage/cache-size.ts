/** How large the cache of a stage is. */
import type { Native, RankSlice, WeightStore } from '../../native/native.ts';
import type { ModelSpec, PlacementPlan } from '../../proto/messages.ts';
import {
  type CacheRoom,
  cacheBytes,
  cacheType,
  fittingBlocks,
  stateSlotsFor,
  wholeModel,
} from '../../proto/model/cache.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import { plannedRanks } from '../plan/plan-slots.ts';

/** Bytes of a whole model's cache. */
export function modelCacheBytes(spec: ModelSpec, weights: WeightsFormat, room: CacheRoom): number {
  return cacheBytes(spec, cacheType(weights), wholeModel(spec), room);
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
  /** States of as many sequences as run at once; 0 for a model without. */
  readonly stateSlots: number;
  readonly bytes: number;
  /** Longest sequence that fits, in tokens: maxModelLen, or less where the budget is too small for it. */
  readonly maxModelLen: number;
}

/**
 * States for all sequences, and as many blocks as the budget allows beside them, but no more than all sequences at full length
 * can use. Throws a RangeError when the budget is below one block.
 */
export function cacheSize(request: CacheRequest): CacheSize {
  const { spec, weights, blockSize, maxModelLen, maxSequences, budgetBytes } = request;
  const stateSlots = stateSlotsFor(spec, maxSequences);
  const fitting = fittingBlocks(spec, cacheType(weights), { blockSize, stateSlots }, budgetBytes);
  const kvBlocks = Math.min(maxSequences * Math.ceil(maxModelLen / blockSize), fitting);
  if (!(kvBlocks >= 1)) {
    const least = modelCacheBytes(spec, weights, { kvBlocks: 1, blockSize, stateSlots });
    throw new RangeError(
      `the cache's budget of ${budgetBytes} bytes is below one block: ${blockSize} positions${besides(stateSlots)} take ${least} bytes`,
    );
  }
  const bytes = modelCacheBytes(spec, weights, { kvBlocks, blockSize, stateSlots });
  return { kvBlocks, stateSlots, bytes, maxModelLen: Math.min(maxModelLen, kvBlocks * blockSize) };
}

/** Bytes of weights and cache that a plan puts on a worker. */
export function plannedBytes(plan: PlacementPlan, workerId: string): number {
  const weightBytes = plan.workers.find(({ id }) => id === workerId)?.weightBytes ?? 0;
  return plannedRanks(plan, workerId).reduce((sum, { cacheBytes }) => sum + cacheBytes, weightBytes);
}

/** A rank's cache as it is to be made, with the bytes that were counted for it. */
export interface AnnouncedCache extends RankSlice, CacheRoom {
  readonly cacheBytes: number;
}

/** Throws before any memory is taken unless the cache takes what was counted for it, to the byte. */
export function checkCacheBytes(native: Native, store: WeightStore, cache: AnnouncedCache): void {
  const bytes = native.cacheBytes(store, cache);
  if (bytes === cache.cacheBytes) return;
  throw new Error(
    `cache of layers ${cache.firstLayer} to ${cache.endLayer - 1}: ${cache.kvBlocks} blocks of ${cache.blockSize} positions` +
      `${besides(cache.stateSlots)} take ${bytes} bytes here, ` +
      `but ${cache.cacheBytes} were planned; run the same version of conclave on controllers and workers`,
  );
}

/** What a cache holds besides positions, for errors. */
function besides(stateSlots: number): string {
  return stateSlots > 0 ? ` and states of ${stateSlots} sequences` : '';
}
