import { sharedExpert } from '../../operators/ffn.ts';
import { latentAttention, latentRopeDefaults } from '../../operators/mla.ts';
import { type MoeShape, plainMoe, softmaxGate } from '../../operators/moe.ts';
import { type ConfigFile, defineFamily } from '../family.ts';

/**
 * Layers of attention and a network twice, which count as two here. Experts read what the first network reads, and what they
 * give is added after the second one; some of them give what they read.
 */
export const longcatFlash = defineFamily({
  modelType: 'longcat_flash',
  architecture: 'LongcatFlashForCausalLM',
  translate,
  defaults: {
    vocab_size: 131_072,
    hidden_size: 6144,
    intermediate_size: 12_288,
    num_hidden_layers: 56,
    num_attention_heads: 64,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000_000,
    bos_token_id: 1,
    eos_token_id: 2,
    attention_bias: false,
    q_lora_rank: 1536,
    kv_lora_rank: 512,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    ...latentRopeDefaults,
    mla_scale_q_lora: true,
    mla_scale_kv_lora: true,
    num_experts: 512,
    num_experts_per_tok: 12,
    moe_intermediate_size: 2048,
    zero_expert_num: 256,
    zero_expert_type: 'identity',
    router_bias: false,
    norm_topk_prob: false,
    routed_scaling_factor: 6,
  },
  style: () => ({
    ropeLayout: 'interleaved',
    layerNumber: (index) => Math.floor(index / 2),
    withPrevious: (index) => index % 2 === 1,
    unused: (name) => name.startsWith('model.mtp.'),
  }),
  layer: (config, index) => {
    const { hidden_size: hidden, q_lora_rank: queryRank } = config;
    const half = index % 2;
    const scaled = config.mla_scale_q_lora && queryRank !== null;
    const attention = {
      ...latentAttention(config),
      path: `self_attn.${half}`,
      queryMultiplier: scaled ? Math.sqrt(hidden / queryRank) : 1,
      latentMultiplier: config.mla_scale_kv_lora ? Math.sqrt(hidden / config.kv_lora_rank) : 1,
    };
    const first = { preNorm: `input_layernorm.${half}`, operators: [attention] };
    const preNorm = `post_attention_layernorm.${half}`;
    const network = sharedExpert(`mlps.${half}`, config.intermediate_size);
    if (half === 1) return [first, { preNorm, operators: [network], join: true }];
    const experts: MoeShape = {
      ...plainMoe,
      experts: config.num_experts,
      identities: config.zero_expert_num,
      topK: config.num_experts_per_tok,
      intermediate: config.moe_intermediate_size,
      gate: {
        ...softmaxGate(false),
        name: 'router.classifier',
        renormalise: config.norm_topk_prob,
        multiplier: config.routed_scaling_factor ?? 1,
        correction: {
          name: 'router.e_score_correction_bias',
          shape: [config.num_experts + config.zero_expert_num],
        },
      },
    };
    return [first, { preNorm, operators: [experts], aside: true }, { preNorm, operators: [network] }];
  },
});

function translate(given: ConfigFile): ConfigFile {
  const { num_layers: layers, ffn_hidden_size: width, expert_ffn_hidden_size: expertWidth, ...file } = given;
  return {
    ...(typeof layers === 'number' && { num_hidden_layers: 2 * layers }),
    ...(width !== undefined && { intermediate_size: width }),
    ...(expertWidth !== undefined && { moe_intermediate_size: expertWidth }),
    ...file,
  };
}
