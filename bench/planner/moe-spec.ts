import type { BlockSpec__Output as BlockSpec } from '../../proto/generated/conclave/v1/BlockSpec.ts';
import type { FfnSpec__Output as FfnSpec } from '../../proto/generated/conclave/v1/FfnSpec.ts';
import type { GateSpec__Output as GateSpec } from '../../proto/generated/conclave/v1/GateSpec.ts';
import type { GqaSpec__Output as GqaSpec } from '../../proto/generated/conclave/v1/GqaSpec.ts';
import type { LayerSpec__Output as LayerSpec } from '../../proto/generated/conclave/v1/LayerSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../proto/generated/conclave/v1/LinearSpec.ts';
import type { MatrixSpec__Output as MatrixSpec } from '../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { NormSpec__Output as NormSpec } from '../../proto/generated/conclave/v1/NormSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../proto/generated/conclave/v1/OperatorSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../proto/generated/conclave/v1/TensorRef.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { packExperts } from '../../proto/model/experts.ts';

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
    embedding: matrix(vocab, hidden),
    embeddingMultiplier: 1,
    ropes: [],
    layers: Array.from({ length: shape.layers }, () => layer(shape)),
    finalNorm: norm(hidden),
    head: linear(vocab, hidden),
    logitMultiplier: 1,
    logitSoftcap: 0,
    streams: 1,
    headMix: null,
    bosTokenId: 0,
    eosTokenIds: [],
  };
}

function layer(shape: MoeShape): LayerSpec {
  const { hidden, experts, intermediate, sharedIntermediate } = shape;
  const operators = experts === 0 ? [dense(hidden, intermediate)] : [moe(shape)];
  if (experts > 0 && sharedIntermediate > 0) operators.push(dense(hidden, sharedIntermediate));
  return { blocks: [block(hidden, [attention(shape)]), block(hidden, operators)], scale: null, withPrevious: false };
}

function block(hidden: number, operators: OperatorSpec[]): BlockSpec {
  const alone = { postNorm: null, aside: false, join: false, joinNorm: null, mix: null };
  return { preNorm: norm(hidden), operators, ...alone, residualMultiplier: 1 };
}

function attention({ hidden, heads, kvHeads, headDim, qkNorm }: MoeShape): OperatorSpec {
  const headNorm = qkNorm === 'QK_NORM_UNSPECIFIED' ? null : norm(headDim);
  const gqa: GqaSpec = {
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
    qNorm: headNorm,
    kNorm: headNorm,
    qkNorm,
    normAfterRope: false,
    clipQkv: 0,
    chunk: 0,
    softcap: 0,
    sinks: null,
    outputGate: null,
    queryScaling: null,
    valueDim: headDim,
    vNorm: null,
    valueMultiplier: 1,
    keysAreValues: false,
    gateFunction: 'GATE_FUNCTION_UNSPECIFIED',
    indexer: null,
  };
  const paged = {
    heads: kvHeads,
    keyWidth: headDim,
    valueWidth: headDim,
    valuesInsideKeys: false,
    replicated: false,
    indexWidth: 0,
  };
  return { kind: 'gqa', gqa, cache: { kind: 'paged', paged } };
}

function dense(hidden: number, intermediate: number): OperatorSpec {
  return { kind: 'dense', dense: { ffn: ffn(hidden, intermediate), outputGate: null, multiplier: 1 }, cache: null };
}

function moe({ hidden, experts, topK, intermediate }: MoeShape): OperatorSpec {
  const gate: GateSpec = {
    weight: matrix(experts, hidden),
    bias: null,
    topK,
    scoring: 'GATE_SCORING_SOFTMAX_TOPK',
    weightMultiplier: 1,
    correction: null,
    renormalise: false,
    smallestSum: 0,
    groups: null,
    jitter: 0,
    softcap: 0,
    scales: null,
    norm: null,
    table: null,
  };
  const all = new Array<FfnSpec>(experts).fill(ffn(hidden, intermediate));
  const plain = { weightsOnInput: false, identityExperts: 0, input: null, output: null };
  return { kind: 'moe', moe: { gate, experts: packExperts(all, () => ''), ...plain }, cache: null };
}

function ffn(hidden: number, intermediate: number): FfnSpec {
  return {
    gate: linear(intermediate, hidden),
    up: linear(intermediate, hidden),
    down: linear(hidden, intermediate),
    activation: 'ACTIVATION_SILU',
    activationLimit: 0,
  };
}

function linear(rows: number, cols: number): LinearSpec {
  return { weight: matrix(rows, cols), bias: null, biasStep: 1, biasGroup: 1 };
}

function matrix(rows: number, cols: number): MatrixSpec {
  const none = { scales: null, zeros: null, groupIndex: null, globalScale: null, region: null, codes: null };
  return { rows, cols, encoding: 'MATRIX_ENCODING_PLAIN', data: tensor(rows, cols), ...none };
}

function norm(width: number): NormSpec {
  return {
    weight: tensor(width),
    epsilon: 1e-6,
    kind: 'NORM_KIND_RMS',
    weightOffset: 0,
    weightMultiplier: 1,
    bias: null,
  };
}

function tensor(...shape: number[]): TensorRef {
  return { name: '', file: 0, offset: 0, dtype: 'DATA_TYPE_BF16', shape };
}
