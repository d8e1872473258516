/** From a family's shape and a checkpoint's tensors to the specification that the engine executes. */
import type { AttentionSpec__Output as AttentionSpec } from '../../proto/generated/conclave/v1/AttentionSpec.ts';
import type { DenseFfnSpec__Output as DenseFfnSpec } from '../../proto/generated/conclave/v1/DenseFfnSpec.ts';
import type { LayerSpec__Output as LayerSpec } from '../../proto/generated/conclave/v1/LayerSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../proto/generated/conclave/v1/LinearSpec.ts';
import type { MoeSpec__Output as MoeSpec } from '../../proto/generated/conclave/v1/MoeSpec.ts';
import type { NormSpec__Output as NormSpec } from '../../proto/generated/conclave/v1/NormSpec.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import type { Dimensions } from './dimensions.ts';
import type { AttentionShape, ConfiguredFamily, DenseShape, FfnNames, MoeShape } from './family.ts';
import type { TensorSource } from './tensors.ts';

/** The parts of a ModelSpec that hold tensors. */
export type WeightSpecs = Pick<ModelSpec, 'embedding' | 'layers' | 'finalNorm' | 'head'>;

const qkNorms = {
  none: 'QK_NORM_UNSPECIFIED',
  'per-head': 'QK_NORM_PER_HEAD',
  'full-width': 'QK_NORM_FULL_WIDTH',
} as const;

/** Claims every tensor of a model. Floats are rounded to f32, as the wire rounds them. */
export function buildSpec(model: ConfiguredFamily, dimensions: Dimensions, tensors: TensorSource): WeightSpecs {
  const { config } = model;
  const epsilon = Math.fround(config.rms_norm_eps);
  const { hidden } = dimensions;

  const norm = (name: string, width: number): NormSpec => ({
    weight: tensors.claim(`${name}.weight`, [width]),
    epsilon,
  });

  const linear = (name: string, out: number, width: number, bias: boolean): LinearSpec => ({
    weight: tensors.claim(`${name}.weight`, [out, width]),
    bias: bias ? tensors.claim(`${name}.bias`, [out]) : null,
  });

  const ffn = (path: string, names: FfnNames, intermediate: number): DenseFfnSpec => ({
    gate: linear(`${path}.${names.gate}`, intermediate, hidden, false),
    up: linear(`${path}.${names.up}`, intermediate, hidden, false),
    down: linear(`${path}.${names.down}`, hidden, intermediate, false),
    activation: 'ACTIVATION_SILU',
  });

  const attention = (path: string, shape: AttentionShape): AttentionSpec => {
    const { heads, kvHeads, headDim } = dimensions;
    const normWidth = (count: number) => (shape.qkNorm === 'per-head' ? headDim : count * headDim);
    return {
      heads,
      kvHeads,
      headDim,
      scale: Math.fround(headDim ** -0.5),
      slidingWindow: shape.slidingWindow,
      rope: 0,
      q: linear(`${path}.q_proj`, heads * headDim, hidden, shape.qkvBias),
      k: linear(`${path}.k_proj`, kvHeads * headDim, hidden, shape.qkvBias),
      v: linear(`${path}.v_proj`, kvHeads * headDim, hidden, shape.qkvBias),
      o: linear(`${path}.o_proj`, hidden, heads * headDim, shape.outputBias),
      qNorm: shape.qkNorm === 'none' ? null : norm(`${path}.q_norm`, normWidth(heads)),
      kNorm: shape.qkNorm === 'none' ? null : norm(`${path}.k_norm`, normWidth(kvHeads)),
      qkNorm: qkNorms[shape.qkNorm],
      clipQkv: Math.fround(shape.clip),
    };
  };

  const dense = (layer: string, shape: DenseShape): DenseFfnSpec =>
    ffn(`${layer}.${shape.path}`, shape.names, shape.intermediate);

  const moe = (layer: string, shape: MoeShape): MoeSpec => {
    const path = `${layer}.${shape.path}`;
    return {
      gate: {
        weight: tensors.claim(`${path}.gate.weight`, [shape.experts, hidden]),
        topK: shape.topK,
        scoring: shape.renormalise ? 'GATE_SCORING_SOFTMAX_TOPK' : 'GATE_SCORING_SOFTMAX_ALL',
        weightMultiplier: 1,
      },
      experts: Array.from({ length: shape.experts }, (_, expert) =>
        ffn(`${path}.experts.${expert}`, shape.names, shape.intermediate),
      ),
      sharedExpert: shape.shared && ffn(`${path}.shared_expert`, shape.names, shape.shared.intermediate),
      sharedExpertGate: shape.shared && tensors.claim(`${path}.shared_expert_gate.weight`, [1, hidden]),
    };
  };

  const layer = (index: number): LayerSpec => {
    const path = `model.layers.${index}`;
    const shape = model.layer(index);
    const common = {
      attentionNorm: norm(`${path}.input_layernorm`, hidden),
      attention: attention(`${path}.self_attn`, shape.attention),
      ffnNorm: norm(`${path}.post_attention_layernorm`, hidden),
      residualMultiplier: 1,
    };
    return shape.ffn.kind === 'moe'
      ? { ...common, ffn: 'moe', moe: moe(path, shape.ffn) }
      : { ...common, ffn: 'dense', dense: dense(path, shape.ffn) };
  };

  const embedding = tensors.claim('model.embed_tokens.weight', [config.vocab_size, hidden]);
  return {
    embedding,
    layers: Array.from({ length: config.num_hidden_layers }, (_, index) => layer(index)),
    finalNorm: norm('model.norm', hidden),
    head: config.tie_word_embeddings
      ? { weight: embedding, bias: null }
      : linear('lm_head', config.vocab_size, hidden, false),
  };
}
