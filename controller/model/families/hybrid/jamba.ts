import { sharedExpert } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { defineFamily, type OperatorShape, plainStyle } from '../family.ts';

/** Mamba 1 in most layers, attention without rope in the others; experts in every few layers. */
export const jamba = defineFamily({
  modelType: 'jamba',
  architecture: 'JambaForCausalLM',
  defaults: {
    vocab_size: 65_536,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 262_144,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 1,
    eos_token_id: 2,
    attn_layer_period: 8,
    attn_layer_offset: 4,
    expert_layer_period: 2,
    expert_layer_offset: 1,
    mamba_d_state: 16,
    mamba_d_conv: 4,
    mamba_expand: 2,
    mamba_dt_rank: 'auto',
    mamba_conv_bias: true,
    mamba_proj_bias: false,
    num_experts: 16,
    num_experts_per_tok: 2,
  },
  style: () => ({ names: { ...plainStyle.names, finalNorm: 'model.final_layernorm' } }),
  layer: (config, index) => {
    const path = 'feed_forward';
    const { hidden_size: hidden, intermediate_size: intermediate, num_experts: experts } = config;
    const attends = index % config.attn_layer_period === config.attn_layer_offset;
    const mixer: OperatorShape = attends
      ? { ...plainAttention, rope: null }
      : {
          kind: 'selective-scan',
          path: 'mamba',
          width: config.mamba_expand * hidden,
          states: config.mamba_d_state,
          rank: config.mamba_dt_rank === 'auto' ? Math.ceil(hidden / 16) : config.mamba_dt_rank,
          taps: config.mamba_d_conv,
          convolutionBias: config.mamba_conv_bias,
          projectionBias: config.mamba_proj_bias,
        };
    const sparse = experts > 1 && index % config.expert_layer_period === config.expert_layer_offset;
    const ffn: OperatorShape = sparse
      ? {
          ...plainMoe,
          path,
          experts,
          topK: config.num_experts_per_tok,
          intermediate,
          gate: { ...softmaxGate(false), name: 'router' },
        }
      : sharedExpert(path, intermediate);
    return [
      { preNorm: 'input_layernorm', operators: [mixer] },
      { preNorm: 'pre_ff_layernorm', operators: [ffn] },
    ];
  },
});
