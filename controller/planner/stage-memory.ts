import type { ModelFootprint } from './memory.ts';
import type { LayerRange } from './partition.ts';
import { rankShare } from './ranks.ts';

/** Bytes of one rank of a stage. */
export interface RankBytes {
  readonly weightBytes: number;
  readonly kvBytes: number;
  /** Its part of the range's routed experts, when stages hold those themselves. */
  readonly expertBytes: number;
}

/** Sizes of stages over any range of layers, from prefix sums: each answer takes constant time. */
export class StageMemory {
  readonly layers: number;
  private readonly model: ModelFootprint;
  private readonly kvTokens: number;
  private readonly attention: readonly number[];
  private readonly dense: readonly number[];
  private readonly resident: readonly number[];
  private readonly kv: readonly number[];
  private readonly experts: readonly number[];
  private readonly active: readonly number[];

  /** `ownExperts`: the stages hold the routed experts of their layers. */
  constructor(model: ModelFootprint, kvTokens: number, ownExperts: boolean) {
    this.model = model;
    this.layers = model.layers.length;
    this.kvTokens = kvTokens;
    this.attention = prefixSums(model.layers.map((layer) => layer.attentionBytes));
    this.dense = prefixSums(model.layers.map((layer) => layer.denseBytes));
    this.resident = prefixSums(model.layers.map((layer) => layer.residentBytes));
    this.kv = prefixSums(model.layers.map((layer) => layer.kvBytesPerToken));
    const experts = model.layers.map((layer) => (ownExperts ? layer.experts : null));
    this.experts = prefixSums(experts.map((e) => (e === null ? 0 : e.count * e.bytes)));
    this.active = prefixSums(experts.map((e) => (e === null ? 0 : Math.min(e.topK, e.count) * e.bytes)));
  }

  /** Bytes of rank `rank` of `ranks` for the range. */
  rank(range: LayerRange, rank: number, ranks: number): RankBytes {
    const kvHeads = this.model.layers[range.first]?.kvHeads ?? 0;
    const share = rankShare(rank, ranks, kvHeads);
    const heads = kvHeads === 0 ? 1 : (share.endKvHead - share.firstKvHead) / kvHeads;
    const own =
      rank > 0
        ? 0
        : between(this.resident, range) +
          (range.first === 0 ? this.model.embeddingBytes : 0) +
          (range.end === this.layers ? this.model.headBytes : 0);
    return {
      weightBytes: Math.ceil(between(this.attention, range) * heads + between(this.dense, range) / ranks) + own,
      kvBytes: Math.ceil(between(this.kv, range) * heads) * this.kvTokens,
      expertBytes: Math.ceil(between(this.experts, range) / ranks),
    };
  }

  /** Bytes that a token reads in the range: what the stage's time goes with. */
  activeBytes(range: LayerRange): number {
    return (
      between(this.attention, range) +
      between(this.dense, range) +
      between(this.resident, range) +
      between(this.active, range) +
      (range.end === this.layers ? this.model.headBytes : 0)
    );
  }
}

/** All bytes of a rank. */
export function totalBytes(bytes: RankBytes): number {
  return bytes.weightBytes + bytes.kvBytes + bytes.expertBytes;
}

function prefixSums(values: readonly number[]): number[] {
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return sums;
}

function between(sums: readonly number[], range: LayerRange): number {
  return sums[range.end]! - sums[range.first]!;
}
