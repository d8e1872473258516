import { entriesIn } from '../../../proto/model/cache.ts';
import type { Part } from '../../../proto/model/share.ts';
import { fractionOf, type LayerFootprint, type ModelFootprint, type SharedPart } from '../input/memory.ts';
import type { LayerRange } from './partition.ts';

/** Bytes of one rank of a stage. */
export interface RankBytes {
  readonly weightBytes: number;
  /** Keys and values, and states of sequences. */
  readonly cacheBytes: number;
  /** Its part of the range's routed experts, when stages hold those themselves. */
  readonly expertBytes: number;
}

/** For what the cache of a pipeline has room. */
export interface PipelineCache {
  readonly kvBlocks: number;
  /** Positions of a block. */
  readonly blockSize: number;
  /** Sequences whose states are kept. */
  readonly stateSlots: number;
}

/** Sizes of stages over any range of layers, from prefix sums: each answer takes constant time. */
export class StageMemory {
  readonly layers: number;
  private readonly model: ModelFootprint;
  private readonly cache: PipelineCache;
  private readonly resident: readonly number[];
  private readonly experts: readonly number[];
  private readonly active: readonly number[];
  /** Of what ranks share, by "rank/ranks". */
  private readonly shares = new Map<string, ShareSums>();

  /** `ownExperts`: the stages hold the routed experts of their layers. */
  constructor(model: ModelFootprint, cache: PipelineCache, ownExperts: boolean) {
    this.model = model;
    this.layers = model.layers.length;
    this.cache = cache;
    this.resident = prefixSums(model.layers.map((layer) => layer.residentBytes));
    const experts = model.layers.map((layer) => (ownExperts ? layer.experts : null));
    this.experts = prefixSums(experts.map((e) => (e === null ? 0 : e.count * e.bytes)));
    this.active = prefixSums(experts.map((e) => (e === null ? 0 : Math.min(e.topK, e.count) * e.bytes)));
  }

  /** Bytes of rank `rank` of `ranks` for the range. */
  rank(range: LayerRange, rank: number, ranks: number): RankBytes {
    const { weights, cache } = this.shared(rank, ranks);
    const own =
      rank > 0
        ? 0
        : between(this.resident, range) +
          (range.first === 0 ? this.model.embeddingBytes : 0) +
          (range.end === this.layers ? this.model.headBytes : 0);
    return {
      weightBytes: Math.ceil(between(weights, range)) + own,
      cacheBytes: between(cache, range),
      expertBytes: Math.ceil(between(this.experts, range) / ranks),
    };
  }

  /** Bytes that a token reads in the range: what the stage's time goes with. */
  activeBytes(range: LayerRange): number {
    return (
      between(this.shared(0, 1).weights, range) +
      between(this.resident, range) +
      between(this.active, range) +
      (range.end === this.layers ? this.model.headBytes : 0)
    );
  }

  private shared(rank: number, ranks: number): ShareSums {
    const key = `${rank}/${ranks}`;
    const known = this.shares.get(key);
    if (known !== undefined) return known;
    const share = rankShare(rank, ranks);
    const sums = {
      weights: prefixSums(
        this.model.layers.map((layer) => layer.shared.reduce((sum, part) => sum + sharedWeights(part, share), 0)),
      ),
      cache: prefixSums(this.model.layers.map((layer) => this.cacheBytes(layer, share))),
    };
    this.shares.set(key, sums);
    return sums;
  }

  /** Whole heads have whole bytes: the rounding mends what dividing by their number leaves. */
  private cacheBytes(layer: LayerFootprint, share: Part): number {
    const { kvBlocks, blockSize, stateSlots } = this.cache;
    const sum = (of: (part: SharedPart) => number) => Math.round(layer.shared.reduce((all, part) => all + of(part), 0));
    const perToken = sum((part) => part.kvBytesPerToken * fractionOf(part, share) + part.commonKvBytesPerToken);
    const perBlock = sum(({ entries }) => (entries ? entriesIn(blockSize, entries.span) * entries.bytes : 0));
    const perSequence = sum(
      (part) => part.stateBytesPerSequence * fractionOf(part, share) + part.commonStateBytesPerSequence,
    );
    return (perToken * blockSize + perBlock) * kvBlocks + perSequence * stateSlots;
  }
}

/** Prefix sums over the layers of what one rank holds. */
interface ShareSums {
  readonly weights: readonly number[];
  readonly cache: readonly number[];
}

/** What tensor-parallel rank `rank` of `ranks` holds: near-even, rank 0, which also owns what is not split, no more than others. */
export function rankShare(rank: number, ranks: number): Part {
  return { begin: rank, end: rank + 1, parts: ranks };
}

function sharedWeights(part: SharedPart, share: Part): number {
  return part.weightBytes * fractionOf(part, share) + part.commonBytes;
}

/** All bytes of a rank. */
export function totalBytes(bytes: RankBytes): number {
  return bytes.weightBytes + bytes.cacheBytes + bytes.expertBytes;
}

function prefixSums(values: readonly number[]): number[] {
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return sums;
}

function between(sums: readonly number[], range: LayerRange): number {
  return sums[range.end]! - sums[range.first]!;
}
