import { denseFfn } from '../../operators/ffn.ts';
import { latentAttention, latentRopeDefaults } from '../../operators/mla.ts';
import { noauxDefaults, noauxExperts } from '../../operators/noaux.ts';
import { attentionThenFfn, defineFamily, isDense, isPredictionLayer, plainStyle, renameKeys } from '../family.ts';

/** KDA with bounded decays, and in every last layer of a group attention over latents with a gate for each head. */
export const bailingHybrid = defineFamily({
  modelType: 'bailing_hybrid',
  architecture: 'BailingHybridForCausalLM',
  translate: (file) =>
    renameKeys(file, {
      model_max_length: 'max_position_embeddings',
      short_conv_kernel_size: 'linear_conv_kernel_dim',
      head_dim: 'linear_head_dim',
      num_mtp_layers: 'num_nextn_predict_layers',
    }),
  defaults: {
    vocab_size: 157_184,
    hidden_size: 2560,
    intermediate_size: 6144,
    num_hidden_layers: 42,
    num_attention_heads: 32,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 262_144,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 6_000_000,
    bos_token_id: null,
    eos_token_id: 156_895,
    attention_bias: false,
    layer_types: null,
    layer_group_size: 6,
    linear_head_dim: 128,
    linear_conv_kernel_dim: 4,
    kda_safe_gate: true,
    kda_lower_bound: -5,
    q_lora_rank: null,
    kv_lora_rank: 512,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    rope_interleave: true,
    ...latentRopeDefaults,
    num_experts: 512,
    num_experts_per_tok: 8,
    moe_intermediate_size: 768,
    n_shared_experts: 1,
    first_k_dense_replace: 2,
    mlp_layer_types: null,
    scoring_func: 'sigmoid',
    ...noauxDefaults,
    n_group: 8,
    topk_group: 4,
    routed_scaling_factor: 2.5,
    num_nextn_predict_layers: 1,
  },
  style: (config) => ({
    ropeLayout: config.rope_interleave ? 'interleaved' : 'half',
    names: { ...plainStyle.names, embedding: 'model.word_embeddings' },
    unused: (name) => isPredictionLayer(name, config),
  }),
  problem: ({ scoring_func: scoring }) =>
    scoring === 'sigmoid' ? null : `scoring_func is "${scoring}"; supported: "sigmoid"`,
  layer: (config, index) => {
    const { layer_types: types, num_attention_heads: heads, linear_head_dim: size } = config;
    const attends = types ? types[index] === 'full_attention' : (index + 1) % config.layer_group_size === 0;
    const mixer = attends
      ? { ...latentAttention(config), path: 'attention', outputName: 'dense', headGate: 'g_proj' }
      : ({
          kind: 'kda',
          path: 'attention',
          keyHeads: heads,
          valueHeads: heads,
          keyDim: size,
          valueDim: size,
          taps: config.linear_conv_kernel_dim,
          lowRank: false,
          decayBound: config.kda_safe_gate ? config.kda_lower_bound : 0,
          outputName: 'dense',
          rateShape: [heads],
        } as const);
    const experts = noauxExperts(config, { correction: 'gate.expert_bias' });
    const ffn = isDense(config, index) ? [denseFfn(config.intermediate_size)] : experts;
    return attentionThenFfn(mixer, ...ffn);
  },
});
