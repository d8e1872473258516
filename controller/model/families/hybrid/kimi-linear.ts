import { isObject } from '../../config/json.ts';
import { denseFfn, numbered } from '../../operators/ffn.ts';
import { latentAttention, latentRopeDefaults } from '../../operators/mla.ts';
import { noauxDefaults, noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, type ConfigFile, defineFamily, isDense, renameKeys } from '../family.ts';

/** KDA in most layers, in the others attention over latents without rope. */
export const kimiLinear = defineFamily({
  modelType: 'kimi_linear',
  architecture: 'KimiLinearForCausalLM',
  translate,
  defaults: {
    vocab_size: 163_840,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 27,
    num_attention_heads: 32,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 1_048_576,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 163_584,
    eos_token_id: 163_586,
    attention_bias: false,
    layer_types: null,
    linear_head_dim: 128,
    linear_num_heads: 32,
    linear_conv_kernel_dim: 4,
    mla_use_nope: true,
    q_lora_rank: null,
    kv_lora_rank: 512,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    ...latentRopeDefaults,
    num_experts: 256,
    num_experts_per_tok: 8,
    moe_intermediate_size: 1024,
    n_shared_experts: 1,
    first_k_dense_replace: 1,
    mlp_layer_types: null,
    moe_layer_freq: 1,
    scoring_func: 'sigmoid',
    ...noauxDefaults,
    routed_scaling_factor: 2.446,
  },
  problem: ({ scoring_func: scoring, layer_types: types }) => {
    if (scoring !== 'sigmoid') return `moe_router_activation_func is "${scoring}"; supported: "sigmoid"`;
    return types === null ? 'linear_attn_config and layer_types are missing; expected one of them' : null;
  },
  layer: (config, index) => {
    const heads = config.linear_num_heads;
    const size = config.linear_head_dim;
    const attends = config.layer_types?.[index] === 'full_attention';
    const mixer = attends
      ? { ...latentAttention(config), rope: null }
      : ({
          kind: 'kda',
          path: 'self_attn',
          keyHeads: heads,
          valueHeads: heads,
          keyDim: size,
          valueDim: size,
          taps: config.linear_conv_kernel_dim,
          lowRank: true,
          decayBound: 0,
          outputName: 'o_proj',
          rateShape: [1, 1, heads, 1],
        } as const);
    const experts = noauxExperts(config, { path: 'block_sparse_moe', experts: numbered });
    const ffn = isDense(config, index) ? [denseFfn(config.intermediate_size)] : experts;
    return attentionThenFfn(mixer, ...ffn);
  },
});

/** Older files list layers, from 1 on, in `linear_attn_config`, and sizes beside them. */
function translate(given: ConfigFile): ConfigFile {
  const file = renameKeys(given, { model_max_length: 'max_position_embeddings' });
  const { linear_attn_config: linear, num_hidden_layers: layers } = file;
  if (!isObject(linear)) return file;
  const { kda_layers: kda } = linear;
  const types =
    Array.isArray(kda) && typeof layers === 'number' && layers >= 1 && layers <= 10_000
      ? Array.from({ length: layers }, (_, i) => (kda.includes(i + 1) ? 'linear_attention' : 'full_attention'))
      : undefined;
  return {
    layer_types: types,
    linear_head_dim: linear['head_dim'],
    linear_num_heads: linear['num_heads'],
    linear_conv_kernel_dim: linear['short_conv_kernel_size'],
    ...file,
  };
}
