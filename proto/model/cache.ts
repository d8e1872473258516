/**
 * Bytes of caches. The native engine lays them out; this says the same for those who plan, and tests hold it to the
 * engine's own figures. Per head and position, a paged cache keeps a key, in bf16 rounded up to an even number of elements,
 * and a value, rounded up to 16, unless the value is a part of the key. Blocks of any size take their positions' bytes and no more.
 * Where spans of positions have entries, a block has room for those of as many positions as it holds, rounded up. States of fixed
 * size take 4 bytes an element, in each slot.
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

/** For what a cache has room. */
export interface CacheRoom {
  readonly kvBlocks: number;
  /** Positions per block. */
  readonly blockSize: number;
  /** Sequences whose states are kept. */
  readonly stateSlots: number;
}

/** Bytes of a cache over a rank's layers. */
export function cacheBytes(spec: ModelSpec, type: CacheType, layers: CachedLayers, room: CacheRoom): number {
  const { kvBlocks, blockSize, stateSlots } = room;
  return kvBlocks * blockBytes(spec, type, layers, blockSize) + stateSlots * stateBytes(spec, layers);
}

/** Bytes of one block over a rank's layers. */
export function blockBytes(spec: ModelSpec, type: CacheType, layers: CachedLayers, blockSize: number): number {
  const entries = sumOver(spec, layers, (cache) => entryBytes(cache, type) * entriesIn(blockSize, spanOf(cache)));
  return blockSize * positionBytes(spec, type, layers) + entries;
}

/** Bytes that a position takes of entries on average, over a rank's layers. */
export function entryShareBytes(spec: ModelSpec, type: CacheType, layers: CachedLayers): number {
  return sumOver(spec, layers, (cache) => (spanOf(cache) > 0 ? entryBytes(cache, type) / spanOf(cache) : 0));
}

/** Entries that a block of so many positions has room for. */
export function entriesIn(blockSize: number, span: number): number {
  return span === 0 ? 0 : Math.ceil(blockSize / span);
}

/** Positions that an entry stands for; 0: there are none. */
export function spanOf(cache: CacheSpec | null): number {
  return cache?.compressed?.span ?? 0;
}

/** Bytes of the entry of a span, which whoever holds a share of the operator keeps. */
export function entryBytes(cache: CacheSpec | null, type: CacheType): number {
  const { keyWidth = 0, indexWidth = 0 } = cache?.compressed ?? {};
  return keyBytes(keyWidth, type) + keyBytes(indexWidth, type);
}

/** Bytes of one position over a rank's layers. */
export function positionBytes(spec: ModelSpec, type: CacheType, layers: CachedLayers): number {
  return sumOver(
    spec,
    layers,
    (cache) =>
      headBytes(cache, type) * partOf(cachedHeads(cache), keptShare(cache, layers.share)) + commonBytes(cache, type),
  );
}

/** Bytes of one sequence's states over a rank's layers; 0 where all is paged. */
export function stateBytes(spec: ModelSpec, layers: CachedLayers): number {
  return sumOver(spec, layers, (cache) => operatorStateBytes(cache, layers.share));
}

/** Blocks that fit into so many bytes beside the states, over all layers; infinitely many where they take none. */
export function fittingBlocks(
  spec: ModelSpec,
  type: CacheType,
  { blockSize, stateSlots }: Omit<CacheRoom, 'kvBlocks'>,
  budgetBytes: number,
): number {
  const left = budgetBytes - stateSlots * stateBytes(spec, wholeModel(spec));
  const perBlock = blockBytes(spec, type, wholeModel(spec), blockSize);
  if (perBlock === 0) return left < 0 ? 0 : Number.POSITIVE_INFINITY;
  return Math.max(0, Math.floor(left / perBlock));
}

/** Slots that a model needs for so many sequences at once: none where all is paged. */
export function stateSlotsFor(spec: ModelSpec, sequences: number): number {
  return stateBytes(spec, wholeModel(spec)) > 0 ? sequences : 0;
}

/** Bytes of one sequence's states that a share of an operator keeps. */
export function operatorStateBytes(cache: CacheSpec | null, share: Part): number {
  const states = cache?.fixed?.states ?? [];
  const shared = states.reduce((sum, { heads, elements }) => sum + partOf(heads, share) * elements * 4, 0);
  return shared + commonStateBytes(cache);
}

/** Bytes of one sequence's states that whoever holds a share of an operator keeps. */
export function commonStateBytes(cache: CacheSpec | null): number {
  return (cache?.compressed?.stateElements ?? 0) * 4;
}

function sumOver(
  spec: ModelSpec,
  { firstLayer, endLayer }: CachedLayers,
  bytesOf: (cache: CacheSpec | null) => number,
): number {
  const operators = spec.layers.slice(firstLayer, endLayer).flatMap(({ blocks }) => blocks.flatMap((b) => b.operators));
  return operators.reduce((sum, { cache }) => sum + bytesOf(cache), 0);
}

/** The share of a cache that the holder of a share of its operator keeps. */
export function keptShare(cache: CacheSpec | null, share: Part): Part {
  return cache?.paged?.replicated ? wholeShare : share;
}

/** Heads of a paged cache; 0 for none. */
export function cachedHeads(cache: CacheSpec | null): number {
  return cache?.paged?.heads ?? 0;
}

/** Bytes of one position of one head of a paged cache. */
export function headBytes(cache: CacheSpec | null, type: CacheType): number {
  if (!cache?.paged) return 0;
  const { keyWidth, valueWidth, valuesInsideKeys } = cache.paged;
  return keyBytes(keyWidth, type) + (valuesInsideKeys ? 0 : roundUp(valueWidth, 16) * elementBytes(type));
}

/** Bytes of one position that whoever holds a share of the operator keeps, such as an index key. */
export function commonBytes(cache: CacheSpec | null, type: CacheType): number {
  return keyBytes(cache?.paged?.indexWidth ?? 0, type) + keyBytes(cache?.compressed?.keyWidth ?? 0, type);
}

function keyBytes(width: number, type: CacheType): number {
  return (type === 'bf16' ? roundUp(width, 2) : width) * elementBytes(type);
}

function elementBytes(type: CacheType): number {
  return type === 'bf16' ? 2 : 4;
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
