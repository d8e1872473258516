import { denseFfn, sharedExpert } from '../../operators/ffn.ts';
import { latentAttention, latentRopeDefaults } from '../../operators/mla.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

/** Latents, queries that grow with their position, and a softmax gate with groups. */
export const mistral4 = defineFamily({
  modelType: 'mistral4',
  architecture: 'Mistral4ForCausalLM',
  defaults: {
    vocab_size: 131_072,
    hidden_size: 4096,
    intermediate_size: 12_288,
    num_hidden_layers: 36,
    num_attention_heads: 32,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 1_048_576,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 1,
    eos_token_id: 2,
    attention_bias: false,
    q_lora_rank: 1024,
    kv_lora_rank: 256,
    qk_nope_head_dim: 64,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    rope_interleave: true,
    ...latentRopeDefaults,
    llama_4_scaling_beta: null,
    original_max_position_embeddings: null,
    num_experts: 128,
    num_experts_per_tok: 4,
    moe_intermediate_size: 2048,
    n_shared_experts: 1,
    first_k_dense_replace: 0,
    n_group: 1,
    topk_group: 1,
    norm_topk_prob: true,
    routed_scaling_factor: 1,
  },
  style: (config) => ({ ropeLayout: config.rope_interleave ? 'interleaved' : 'half' }),
  layer: (config, index) => {
    const { llama_4_scaling_beta: beta, original_max_position_embeddings: original } = config;
    const interval = original ?? config.max_position_embeddings;
    const attention = {
      ...latentAttention(config),
      queryScaling: beta ? { factor: Math.fround(beta), interval, offset: 0 } : null,
    };
    if (index < config.first_k_dense_replace) return attentionThenFfn(attention, denseFfn(config.intermediate_size));
    const { moe_intermediate_size: intermediate, n_shared_experts: shared } = config;
    const routed = {
      ...plainMoe,
      experts: config.num_experts,
      topK: config.num_experts_per_tok,
      intermediate,
      gate: {
        ...softmaxGate(false),
        renormalise: config.norm_topk_prob,
        smallestSum: 1e-20,
        multiplier: config.routed_scaling_factor ?? 1,
        groups: { count: config.n_group ?? 1, kept: config.topk_group ?? 1, byTwo: true },
      },
    } as const;
    const besides = shared > 0 ? [sharedExpert('mlp.shared_experts', intermediate * shared)] : [];
    return attentionThenFfn(attention, routed, ...besides);
  },
});
