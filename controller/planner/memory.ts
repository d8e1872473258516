// Bytes that the parts of a model take on a worker, by weights format. Matrices are [rows, cols], packed by row:
// f32 keeps the checkpoint's own encoding, bf16 takes 2 bytes an element, q8 takes 36 bytes per group of 32 in a row.

import type { DenseFfnSpec__Output as DenseFfnSpec } from '../../proto/generated/conclave/v1/DenseFfnSpec.ts';
import type { LayerSpec__Output as LayerSpec } from '../../proto/generated/conclave/v1/LayerSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../proto/generated/conclave/v1/LinearSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../proto/generated/conclave/v1/TensorRef.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';

/** Bytes of one layer, by who holds them. */
export interface LayerFootprint {
  readonly kvHeads: number;
  /** Projections of all heads; split by heads over tensor-parallel ranks. */
  readonly attentionBytes: number;
  /** Dense or shared feed-forward part; split by its intermediate dimension over tensor-parallel ranks. */
  readonly denseBytes: number;
  /** Norms and gate; on rank 0. */
  readonly residentBytes: number;
  /** Keys and values of one position, all heads. */
  readonly kvBytesPerToken: number;
  /** Queries and keys are normalised over all heads together, so no rank can hold a part of them. */
  readonly headsInseparable: boolean;
  /** Null for a dense layer. */
  readonly experts: ExpertsFootprint | null;
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

const bytesPerElement: Readonly<Record<string, number>> = {
  DATA_TYPE_F32: 4,
  DATA_TYPE_F16: 2,
  DATA_TYPE_BF16: 2,
};

/** Bytes of every part of the model when its matrices are kept in the given format. */
export function modelFootprint(spec: ModelSpec, weights: WeightsFormat | 'auto'): ModelFootprint {
  return {
    layers: spec.layers.map((layer) => layerFootprint(layer, weights)),
    embeddingBytes: checkpointBytes(spec.embedding),
    headBytes: linearBytes(spec.head, weights) + vectorBytes(spec.finalNorm?.weight ?? null),
  };
}

/** Keys and values of one position over all layers, in bytes. */
export function kvBytesPerToken(footprint: ModelFootprint): number {
  return footprint.layers.reduce((sum, layer) => sum + layer.kvBytesPerToken, 0);
}

function layerFootprint(layer: LayerSpec, weights: WeightsFormat | 'auto'): LayerFootprint {
  const attention = layer.attention;
  const moe = layer.moe ?? null;
  const first = moe?.experts[0];
  const norms = [layer.attentionNorm, layer.ffnNorm, attention?.qNorm, attention?.kNorm];
  return {
    kvHeads: attention?.kvHeads ?? 0,
    attentionBytes: [attention?.q, attention?.k, attention?.v, attention?.o].reduce(
      (sum, linear) => sum + linearBytes(linear ?? null, weights),
      0,
    ),
    denseBytes: ffnBytes(layer.dense ?? moe?.sharedExpert ?? null, weights),
    residentBytes:
      norms.reduce((sum, norm) => sum + vectorBytes(norm?.weight ?? null), 0) +
      vectorBytes(moe?.gate?.weight ?? null) +
      vectorBytes(moe?.sharedExpertGate ?? null),
    kvBytesPerToken: 2 * (attention?.kvHeads ?? 0) * (attention?.headDim ?? 0) * (weights === 'f32' ? 4 : 2),
    headsInseparable: attention?.qkNorm === 'QK_NORM_FULL_WIDTH',
    experts:
      moe === null || first === undefined
        ? null
        : {
            count: moe.experts.length,
            bytes: moe.experts.reduce((largest, expert) => Math.max(largest, ffnBytes(expert, weights)), 0),
            intermediate: first.gate?.weight?.shape[0] ?? 0,
            topK: moe.gate?.topK ?? 1,
          },
  };
}

function ffnBytes(ffn: DenseFfnSpec | null, weights: WeightsFormat | 'auto'): number {
  if (ffn === null) return 0;
  return linearBytes(ffn.gate, weights) + linearBytes(ffn.up, weights) + linearBytes(ffn.down, weights);
}

function linearBytes(linear: LinearSpec | null, weights: WeightsFormat | 'auto'): number {
  return linear === null ? 0 : matrixBytes(linear.weight, weights) + vectorBytes(linear.bias);
}

function matrixBytes(tensor: TensorRef | null, weights: WeightsFormat | 'auto'): number {
  if (tensor === null) return 0;
  const [rows = 0, cols = 0] = tensor.shape;
  if (weights === 'q8') return rows * Math.ceil(cols / 32) * 36;
  return weights === 'bf16' ? rows * cols * 2 : checkpointBytes(tensor);
}

function checkpointBytes(tensor: TensorRef | null): number {
  return tensor === null ? 0 : elements(tensor) * (bytesPerElement[tensor.dtype] ?? 4);
}

// Biases, norms and gates are kept in f32 whatever the format.
function vectorBytes(tensor: TensorRef | null): number {
  return tensor === null ? 0 : elements(tensor) * 4;
}

function elements(tensor: TensorRef): number {
  return tensor.shape.reduce((product, length) => product * length, 1);
}
