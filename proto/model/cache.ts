/**
 * Bytes of caches. The native engine lays them out; this says the same for those who plan, and tests hold it to the
 * engine's own figures. Per head and position, a cache keeps a key, in bf16 rounded up to an even number of elements, and a
 * value, rounded up to 16. Blocks of any size take their positions' bytes and no more.
 */
import type { CacheSpec__Output as CacheSpec } from '../generated/conclave/v1/CacheSpec.ts';
import type { ModelSpec } from '../messages.ts';
import { type Part, partOf, wholeShare } from './share.ts';

export type CacheType = 'f32' | 'bf16';

/** The encoding of caches beside weights of a format. */
export function cacheType(weights: string): CacheType {
  return weights === 'f32' ? 'f32' : 'bf16';
}

/** A rank's layers, and its share of their operators. */
export interface CachedLayers {
  readonly firstLayer: number;
  readonly endLayer: number;
  readonly share: Part;
}

/** All layers, undivided. */
export function wholeModel(spec: ModelSpec): CachedLayers {
  return { firstLayer: 0, endLayer: spec.layers.length, share: wholeShare };
}

/** Bytes of one position over a rank's layers. */
export function positionBytes(spec: ModelSpec, type: CacheType, { firstLayer, endLayer, share }: CachedLayers): number {
  const operators = spec.layers.slice(firstLayer, endLayer).flatMap(({ blocks }) => blocks.flatMap((b) => b.operators));
  return operators.reduce((sum, { cache }) => sum + headBytes(cache, type) * partOf(cachedHeads(cache), share), 0);
}

/** Heads of a paged cache; 0 for none. */
export function cachedHeads(cache: CacheSpec | null): number {
  return cache?.paged?.heads ?? 0;
}

/** Bytes of one position of one head of a paged cache. */
export function headBytes(cache: CacheSpec | null, type: CacheType): number {
  if (!cache?.paged) return 0;
  const { keyWidth, valueWidth, valuesInsideKeys } = cache.paged;
  const key = type === 'bf16' ? roundUp(keyWidth, 2) : keyWidth;
  return (key + (valuesInsideKeys ? 0 : roundUp(valueWidth, 16))) * (type === 'bf16' ? 2 : 4);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
