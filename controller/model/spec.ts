/** From a family's shape and a checkpoint's tensors to the specification that the engine executes. */
import type { BlockSpec__Output as BlockSpec } from '../../proto/generated/conclave/v1/BlockSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../proto/generated/conclave/v1/OperatorSpec.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { type Builder, linear, norm, type TensorSource } from './checkpoint/parts.ts';
import { activations } from './config/config.ts';
import type { Dimensions } from './config/dimensions.ts';
import type { BlockShape, ConfiguredFamily, OperatorShape } from './families/family.ts';
import { buildCompressedAttention } from './operators/compressed-attention.ts';
import { buildDense } from './operators/ffn.ts';
import { buildGqa } from './operators/gqa.ts';
import { buildLinearAttention } from './operators/linear-attention.ts';
import { buildMla } from './operators/mla.ts';
import { buildMoe } from './operators/moe.ts';
import { buildSelectiveScan } from './operators/selective-scan.ts';
import { buildShortConvolution } from './operators/short-convolution.ts';
import { buildStreamMix, type StreamsShape } from './operators/streams.ts';
import { buildTokenInput } from './operators/token-input.ts';

/** The parts of a ModelSpec that hold tensors. */
export type WeightSpecs = Pick<ModelSpec, 'embedding' | 'streams' | 'layers' | 'headMix' | 'finalNorm' | 'head'>;

/** Claims every tensor of a model. */
export function buildSpec(model: ConfiguredFamily, dimensions: Dimensions, tensors: TensorSource): WeightSpecs {
  const { config, style } = model;
  const { hidden } = dimensions;
  const builder: Builder = {
    tensors,
    epsilon: config.rms_norm_eps,
    normStyle: style.norm,
    activation: activations[config.hidden_act],
    vocabulary: config.vocab_size,
  };
  const { streams } = style;
  const embedding = tensors.matrix(`${style.names.embedding}.weight`, config.vocab_size, hidden);
  return {
    embedding,
    streams: streams?.count ?? 1,
    headMix: streams && buildStreamMix(builder, streams.head, streams, 'read', hidden),
    layers: Array.from({ length: config.num_hidden_layers }, (_, index) => {
      const name = `${style.names.layers}.${style.layerNumber(index)}`;
      return {
        blocks: model.layer(index).map((block) => buildBlock(builder, name, block, streams, dimensions)),
        scale: style.layerScale === null ? null : tensors.vector(`${name}.${style.layerScale}`, 1),
        withPrevious: style.withPrevious(index),
      };
    }),
    finalNorm: norm(builder, style.names.finalNorm, hidden),
    head: config.tie_word_embeddings
      ? { weight: embedding, bias: null, biasStep: 1, biasGroup: 1 }
      : linear(builder, style.names.head, config.vocab_size, hidden, style.headBias),
  };
}

function buildBlock(
  builder: Builder,
  layer: string,
  shape: BlockShape,
  streams: StreamsShape | null,
  dimensions: Dimensions,
): BlockSpec {
  const { mix } = shape;
  return {
    mix:
      streams && mix ? buildStreamMix(builder, `${layer}.${mix}`, streams, 'read and write', dimensions.hidden) : null,
    preNorm: shape.preNorm === null ? null : norm(builder, `${layer}.${shape.preNorm}`, dimensions.hidden),
    operators: shape.operators.map((operator) => buildOperator(builder, layer, operator, dimensions)),
    postNorm: shape.postNorm === undefined ? null : norm(builder, `${layer}.${shape.postNorm}`, dimensions.hidden),
    aside: shape.aside ?? false,
    join: shape.join ?? false,
    joinNorm: shape.joinNorm === undefined ? null : norm(builder, `${layer}.${shape.joinNorm}`, dimensions.hidden),
    residualMultiplier: Math.fround(shape.residualMultiplier ?? 1),
  };
}

function buildOperator(builder: Builder, layer: string, shape: OperatorShape, dimensions: Dimensions): OperatorSpec {
  switch (shape.kind) {
    case 'gqa':
      return buildGqa(builder, layer, shape, dimensions);
    case 'mla':
      return buildMla(builder, layer, shape, dimensions);
    case 'compressed-attention':
      return buildCompressedAttention(builder, layer, shape, dimensions);
    case 'dense':
      return buildDense(builder, layer, shape, dimensions.hidden);
    case 'delta-net':
    case 'mamba2':
    case 'kda':
      return buildLinearAttention(builder, layer, shape, dimensions.hidden);
    case 'short-convolution':
      return buildShortConvolution(builder, layer, shape, dimensions.hidden);
    case 'selective-scan':
      return buildSelectiveScan(builder, layer, shape, dimensions.hidden);
    case 'token-input':
      return buildTokenInput(builder, layer, shape, dimensions.hidden);
    case 'moe':
      return buildMoe(builder, layer, shape, dimensions.hidden);
  }
}
