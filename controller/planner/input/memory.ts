// Bytes that the parts of a model take on a worker, by weights format. Matrices are [rows, cols], packed by row:
// f32 keeps the checkpoint's own encoding, but of codes the numbers in 4 bytes; bf16 takes 2 bytes an element; q8 takes 36 bytes
// per group of 32 in a row, q4 takes 18, or 20 with a zero point.
import type { LayerSpec__Output as LayerSpec } from '../../../proto/generated/conclave/v1/LayerSpec.ts';
import type { LinearAttentionSpec__Output as LinearAttentionSpec } from '../../../proto/generated/conclave/v1/LinearAttentionSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import {
  cachedHeads,
  cacheType,
  commonBytes as commonCacheBytes,
  commonStateBytes,
  entryBytes,
  headBytes,
  operatorStateBytes,
  spanOf,
} from '../../../proto/model/cache.ts';
import { distinctExperts } from '../../../proto/model/experts.ts';
import { moeOf } from '../../../proto/model/operators.ts';
import { type Part, partOf, wholeShare } from '../../../proto/model/share.ts';
import { checkpointBytes } from '../../../proto/model/tensors.ts';
import {
  blockWeights,
  ffnWeights,
  headWeights,
  layerWeights,
  modelWeights,
  operatorWeights,
  storedBytes,
  type Weight,
} from '../../../proto/model/weights.ts';
import type { WeightsFormat } from '../../../proto/weights-formats.ts';

/** What of an operator tensor-parallel ranks share. */
export interface SharedPart {
  /**
   * Ranks hold whole heads: key/value heads with the query heads that read them, or a recurrence's. Null: any fraction, of the
   * intermediate dimension.
   */
  readonly heads: number | null;
  readonly weightBytes: number;
  /** Weights that every rank holds whole. */
  readonly commonBytes: number;
  /** Cache of one position, all heads that ranks share. */
  readonly kvBytesPerToken: number;
  /** Cache of one position that every rank keeps. */
  readonly commonKvBytesPerToken: number;
  /** Cache of spans of positions that every rank keeps; null: none. */
  readonly entries: { readonly span: number; readonly bytes: number } | null;
  /** States of one sequence, all heads that ranks share. */
  readonly stateBytesPerSequence: number;
  /** States of one sequence that every rank keeps. */
  readonly commonStateBytesPerSequence: number;
  /** A part of the heads needs what is made of all of them, or of another layer, so no rank can hold a part. */
  readonly inseparable: boolean;
}

/** Bytes of one layer, by who holds them. */
export interface LayerFootprint {
  /** One for each operator that ranks share. */
  readonly shared: readonly SharedPart[];
  /** Norms and gates; on rank 0. */
  readonly residentBytes: number;
  /** Null for a dense layer. */
  readonly experts: ExpertsFootprint | null;
  /** It reads what earlier layers left: it is in the stage of the layer before it. */
  readonly withPrevious: boolean;
}

export interface ExpertsFootprint {
  readonly count: number;
  /** Bytes of one routed expert: the largest of the layer. */
  readonly bytes: number;
  /** Intermediate dimension: slices of an expert divide it. */
  readonly intermediate: number;
  readonly topK: number;
}

export interface ModelFootprint {
  readonly layers: readonly LayerFootprint[];
  /** On the first stage's rank 0. */
  readonly embeddingBytes: number;
  /** Final norm and head; on the last stage's rank 0. */
  readonly headBytes: number;
}

/** Of a checkpoint of 4-bit codes, q4 keeps the matrices that it leaves as numbers in q8. */
type Format = WeightsFormat | 'auto' | 'q4 beside q8';

/** Bytes of every part of the model when its matrices are kept in the given format. */
export function modelFootprint(spec: ModelSpec, format: WeightsFormat | 'auto'): ModelFootprint {
  const weights = format === 'q4' && hasNarrowCodes(spec) ? 'q4 beside q8' : format;
  return {
    layers: spec.layers.map((layer) => layerFootprint(layer, weights)),
    embeddingBytes: embeddingBytes(spec.embedding, weights),
    headBytes: bytesOf(headWeights(spec), weights),
  };
}

function hasNarrowCodes(spec: ModelSpec): boolean {
  for (const { codeBits } of modelWeights(spec)) if (codeBits > 0 && codeBits <= 4) return true;
  return false;
}

/** Rows are looked up as they are stored, or as the numbers that codes stand for, in bf16 unless f32 is asked for. */
function embeddingBytes(embedding: ModelSpec['embedding'], format: Format): number {
  if (!embedding?.data) return 0;
  if (embedding.codes === null) {
    const { rows, cols, data } = embedding;
    return checkpointBytes({ ...data, shape: [rows, cols] });
  }
  return embedding.rows * embedding.cols * (format === 'f32' ? 4 : 2);
}

/** The fraction of an operator that a rank has. */
export function fractionOf({ heads }: SharedPart, share: Part): number {
  return heads === null ? (share.end - share.begin) / share.parts : partOf(heads, share) / heads;
}

function layerFootprint(layer: LayerSpec, weights: Format): LayerFootprint {
  const shared: SharedPart[] = [];
  let residentBytes = bytesOf(layerWeights(layer), weights);
  for (const block of layer.blocks) {
    residentBytes += bytesOf(blockWeights(block), weights);
    for (const operator of block.operators) {
      const table = operator.tokenInput?.embedding ?? null;
      residentBytes += embeddingBytes(table, weights);
      const own = operatorWeights(operator, block).slice(table === null ? 0 : 1);
      const split = own.filter(({ holder }) => holder === 'ranks');
      residentBytes += bytesOf(
        own.filter(({ holder }) => holder === 'owner'),
        weights,
      );
      const common = own.filter(({ holder }) => holder === 'everyRank');
      if (split.length > 0)
        shared.push(sharedPart(operator, bytesOf(split, weights), bytesOf(common, weights), weights));
    }
  }
  return { shared, residentBytes, experts: expertsFootprint(layer, weights), withPrevious: layer.withPrevious };
}

function sharedPart(operator: OperatorSpec, weightBytes: number, commonBytes: number, weights: Format): SharedPart {
  const { gqa, mla, linearAttention, cache } = operator;
  const type = cacheType(weights);
  const cached = cachedHeads(cache) * headBytes(cache, type);
  const replicated = cache?.paged?.replicated ?? false;
  return {
    heads: headsOf(operator),
    weightBytes,
    commonBytes,
    kvBytesPerToken: replicated ? 0 : cached,
    commonKvBytesPerToken: (replicated ? cached : 0) + commonCacheBytes(cache, type),
    entries: spanOf(cache) > 0 ? { span: spanOf(cache), bytes: entryBytes(cache, type) } : null,
    stateBytesPerSequence: operatorStateBytes(cache, wholeShare) - commonStateBytes(cache),
    commonStateBytesPerSequence: commonStateBytes(cache),
    inseparable:
      gqa?.qkNorm === 'QK_NORM_FULL_WIDTH' ||
      (gqa?.indexer != null && gqa.indexer.heads !== gqa.kvHeads) ||
      operator.selectiveScan != null ||
      mla?.sharesSelection === true ||
      normalisesAcrossKeyHeads(linearAttention ?? null),
  };
}

/** What ranks hold whole ones of. */
function headsOf(operator: OperatorSpec) {
  const { gqa, mla, compressedAttention, linearAttention, shortConvolution, selectiveScan, runningSum } = operator;
  const columns = shortConvolution?.value?.weight?.rows ?? selectiveScan?.value?.weight?.rows;
  const groups = gqa?.kvHeads ?? mla?.heads ?? compressedAttention?.groups;
  return groups ?? linearAttention?.keyHeads ?? columns ?? runningSum?.heads ?? null;
}

function normalisesAcrossKeyHeads(attention: LinearAttentionSpec | null): boolean {
  return attention !== null && (attention.valueHeads / attention.keyHeads) % attention.normHeads !== 0;
}

function expertsFootprint(layer: LayerSpec, weights: Format): ExpertsFootprint | null {
  const { experts, gate } = moeOf(layer) ?? {};
  if (!experts?.expert) return null;
  const bytes = distinctExperts(experts).map((expert) => bytesOf(ffnWeights('experts', 'slot', expert), weights));
  return {
    count: experts.count,
    bytes: Math.max(...bytes),
    intermediate: experts.expert.up?.weight?.rows ?? 0,
    topK: gate?.topK ?? 1,
  };
}

function bytesOf(weights: readonly Weight[], format: Format): number {
  return weights.reduce((sum, weight) => sum + keptBytes(weight, format), 0);
}

function keptBytes(weight: Weight, format: Format): number {
  const { rows, cols, exact, codeBits, inQ4 } = weight;
  if (exact) return rows * cols * 4;
  const groups = rows * Math.ceil(cols / 32);
  const wide = inQ4 === 'wide' || (format === 'q4 beside q8' && codeBits === 0);
  if (format === 'q8' || (wide && format.startsWith('q4'))) return groups * 36;
  if (format.startsWith('q4')) return groups * (inQ4 === 'codes with zeros' ? 20 : 18);
  if (format === 'bf16') return rows * cols * 2;
  return codeBits > 0 ? rows * cols * 4 : storedBytes(weight);
}
