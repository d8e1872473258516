/** How large the paged cache of a stage is. */
import type { ModelSpec, PlacementPlan } from '../../proto/messages.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import { plannedRanks } from '../agent/plan-slots.ts';

/** Bytes that one block of `blockSize` positions takes over the layers [firstLayer, endLayer): keys and values of every head. */
export function blockBytes(
  spec: ModelSpec,
  weights: WeightsFormat,
  blockSize: number,
  firstLayer = 0,
  endLayer = spec.layers.length,
): number {
  const elementBytes = weights === 'f32' ? 4 : 2;
  let elements = 0;
  for (const { attention } of spec.layers.slice(firstLayer, endLayer)) {
    elements += 2 * (attention?.kvHeads ?? 0) * (attention?.headDim ?? 0);
  }
  return elements * elementBytes * blockSize;
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
export function plannedBytes(plan: PlacementPlan, workerId: string, spec: ModelSpec, weights: WeightsFormat): number {
  const weightBytes = plan.workers.find(({ id }) => id === workerId)?.weightBytes ?? 0;
  const caches = plannedRanks(plan, workerId).map(({ kvBlocks, firstLayer, endLayer, firstKvHead, endKvHead }) => {
    const all = Math.max(1, ...spec.layers.slice(firstLayer, endLayer).map(({ attention }) => attention?.kvHeads ?? 0));
    const share = (endKvHead - firstKvHead) / all;
    return kvBlocks * blockBytes(spec, weights, plan.blockSize, firstLayer, endLayer) * share;
  });
  return caches.reduce((sum, bytes) => sum + bytes, weightBytes);
}
