import { denseFfn, sharedExpert } from '../../operators/ffn.ts';
import { latentAttention, latentRopeDefaults } from '../../operators/mla.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

/** Latents, and a softmax gate; `norm_topk_prob` has no effect. */
export const deepseekV2 = defineFamily({
  modelType: 'deepseek_v2',
  architecture: 'DeepseekV2ForCausalLM',
  defaults: {
    vocab_size: 102_400,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 1,
    eos_token_id: 2,
    attention_bias: false,
    mlp_bias: false,
    q_lora_rank: 1536,
    kv_lora_rank: 512,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    ...latentRopeDefaults,
    num_experts: 64,
    num_experts_per_tok: 6,
    moe_intermediate_size: 1407,
    n_shared_experts: 2,
    first_k_dense_replace: 0,
    moe_layer_freq: 1,
    topk_method: 'greedy',
    scoring_func: 'softmax',
    n_group: null,
    topk_group: null,
    routed_scaling_factor: 1,
  },
  style: () => ({ ropeLayout: 'interleaved' }),
  problem: ({ topk_method: method, scoring_func: scoring, mlp_bias: bias }) => {
    if (bias) return 'mlp_bias is true; supported: false';
    if (method === 'noaux_tc') return 'topk_method is "noaux_tc"; supported: "greedy", "group_limited_greedy"';
    return scoring === 'softmax' ? null : `scoring_func is "${scoring}"; supported: "softmax"`;
  },
  layer: (config, index) => {
    const attention = latentAttention(config);
    if (index < config.first_k_dense_replace) return attentionThenFfn(attention, denseFfn(config.intermediate_size));
    const { moe_intermediate_size: intermediate, n_shared_experts: shared } = config;
    const grouped = config.topk_method === 'group_limited_greedy';
    const routed = {
      ...plainMoe,
      experts: config.num_experts,
      topK: config.num_experts_per_tok,
      intermediate,
      gate: {
        ...softmaxGate(false),
        multiplier: config.routed_scaling_factor ?? 1,
        groups: grouped ? { count: config.n_group ?? 1, kept: config.topk_group ?? 1, byTwo: false } : null,
      },
    };
    const besides = shared > 0 ? [sharedExpert('mlp.shared_experts', intermediate * shared)] : [];
    return attentionThenFfn(attention, routed, ...besides);
  },
});
