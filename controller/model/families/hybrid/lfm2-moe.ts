import type { ModelConfig } from '../../config/config.ts';
import { numbered, sharedExpert } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, sigmoidGate } from '../../operators/moe.ts';
import { type BlockShape, defineFamily, isDense, type OperatorShape, plainStyle, renameKeys } from '../family.ts';

/** Short convolutions in most layers, attention in the others. */
export const lfm2Moe = defineFamily({
  modelType: 'lfm2_moe',
  architecture: 'Lfm2MoeForCausalLM',
  translate: (file) => renameKeys(file, { norm_eps: 'rms_norm_eps', tie_embedding: 'tie_word_embeddings' }),
  defaults: {
    vocab_size: 65_536,
    hidden_size: 2048,
    intermediate_size: 7168,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 128_000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    rope_theta: 1_000_000,
    bos_token_id: 1,
    eos_token_id: 2,
    layer_types: null,
    conv_L_cache: 3,
    conv_bias: false,
    num_experts: 32,
    num_experts_per_tok: 4,
    moe_intermediate_size: 1792,
    first_k_dense_replace: 2,
    mlp_layer_types: null,
    use_expert_bias: true,
    norm_topk_prob: true,
    routed_scaling_factor: 1,
  },
  style: () => ({ names: { ...plainStyle.names, finalNorm: 'model.embedding_norm' } }),
  problem: ({ layer_types: types }) =>
    types === null ? 'layer_types is missing; expected the kind of each layer' : null,
  layer: (config, index) => {
    const path = 'feed_forward';
    const experts = config.num_experts;
    const gate = sigmoidGate('expert_bias', experts, {
      renormalise: config.norm_topk_prob,
      smallestSum: 1e-6,
      multiplier: config.routed_scaling_factor ?? 1,
      ...(!config.use_expert_bias && { correction: null }),
    });
    const routed = {
      ...plainMoe,
      path,
      names: numbered,
      experts,
      topK: config.num_experts_per_tok,
      intermediate: config.moe_intermediate_size,
      gate,
    };
    const ffn: OperatorShape = isDense(config, index) ? sharedExpert(path, config.intermediate_size, numbered) : routed;
    return mixerThenFfn(config, index, ffn);
  },
});

type Mixers = Pick<ModelConfig, 'layer_types' | 'conv_L_cache' | 'conv_bias'>;

/** A short convolution or attention, and what follows it. */
export function mixerThenFfn(config: Mixers, index: number, ffn: OperatorShape): readonly BlockShape[] {
  const mixer: OperatorShape =
    config.layer_types?.[index] === 'conv'
      ? { kind: 'short-convolution', path: 'conv', taps: config.conv_L_cache, bias: config.conv_bias }
      : {
          ...plainAttention,
          outputName: 'out_proj',
          qkNorm: 'per-head',
          normNames: { q: 'q_layernorm', k: 'k_layernorm' },
        };
  return [
    { preNorm: 'operator_norm', operators: [mixer] },
    { preNorm: 'ffn_norm', operators: [ffn] },
  ];
}
