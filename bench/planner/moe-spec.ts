import type { DenseFfnSpec__Output as DenseFfnSpec } from '../../proto/generated/conclave/v1/DenseFfnSpec.ts';
import type { LayerSpec__Output as LayerSpec } from '../../proto/generated/conclave/v1/LayerSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../proto/generated/conclave/v1/LinearSpec.ts';
import type { NormSpec__Output as NormSpec } from '../../proto/generated/conclave/v1/NormSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../proto/generated/conclave/v1/TensorRef.ts';
import type { ModelSpec } from '../../proto/messages.ts';

/** Dimensions of a model whose layers are all alike, as far as placement depends on them. */
export interface MoeShape {
  readonly layers: number;
  readonly hidden: number;
  readonly vocab: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** 0: dense layers of the same intermediate dimension. */
  readonly experts: number;
  readonly topK: number;
  readonly intermediate: number;
  /** 0: no shared expert. */
  readonly sharedIntermediate: number;
  readonly qkNorm: 'QK_NORM_UNSPECIFIED' | 'QK_NORM_PER_HEAD' | 'QK_NORM_FULL_WIDTH';
}

/** A specification in bf16 of that shape. Its tensors exist nowhere: it is for planning only. */
export function moeSpec(shape: MoeShape): ModelSpec {
  const { hidden, vocab } = shape;
  return {
    name: 'shape',
    digest: JSON.stringify(shape),
    hiddenSize: hidden,
    vocabSize: vocab,
    maxPosition: 4096,
    files: [{ path: 'model.safetensors', bytes: 0 }],
    embedding: tensor(vocab, hidden),
    embeddingMultiplier: 1,
    ropes: [],
    layers: Array.from({ length: shape.layers }, () => layer(shape)),
    finalNorm: norm(hidden),
    head: linear(vocab, hidden),
    logitMultiplier: 1,
    bosTokenId: 0,
    eosTokenIds: [],
  };
}

function layer(shape: MoeShape): LayerSpec {
  const { hidden, heads, kvHeads, headDim, experts, intermediate, sharedIntermediate } = shape;
  const qkNorm = shape.qkNorm === 'QK_NORM_UNSPECIFIED' ? null : norm(headDim);
  const spec: LayerSpec = {
    attentionNorm: norm(hidden),
    attention: {
      heads,
      kvHeads,
      headDim,
      scale: headDim ** -0.5,
      slidingWindow: 0,
      rope: 0,
      q: linear(heads * headDim, hidden),
      k: linear(kvHeads * headDim, hidden),
      v: linear(kvHeads * headDim, hidden),
      o: linear(hidden, heads * headDim),
      qNorm: qkNorm,
      kNorm: qkNorm,
      qkNorm: shape.qkNorm,
      clipQkv: 0,
    },
    ffnNorm: norm(hidden),
    residualMultiplier: 1,
  };
  if (experts === 0) return { ...spec, dense: ffn(hidden, intermediate), ffn: 'dense' };
  return {
    ...spec,
    moe: {
      gate: {
        weight: tensor(experts, hidden),
        topK: shape.topK,
        scoring: 'GATE_SCORING_SOFTMAX_TOPK',
        weightMultiplier: 1,
      },
      experts: new Array<DenseFfnSpec>(experts).fill(ffn(hidden, intermediate)),
      sharedExpert: sharedIntermediate === 0 ? null : ffn(hidden, sharedIntermediate),
      sharedExpertGate: null,
    },
    ffn: 'moe',
  };
}

function ffn(hidden: number, intermediate: number): DenseFfnSpec {
  return {
    gate: linear(intermediate, hidden),
    up: linear(intermediate, hidden),
    down: linear(hidden, intermediate),
    activation: 'ACTIVATION_SILU',
  };
}

function linear(rows: number, cols: number): LinearSpec {
  return { weight: tensor(rows, cols), bias: null };
}

function norm(width: number): NormSpec {
  return { weight: tensor(width), epsilon: 1e-6 };
}

function tensor(...shape: number[]): TensorRef {
  return { name: '', file: 0, offset: 0, dtype: 'DATA_TYPE_BF16', shape };
}
