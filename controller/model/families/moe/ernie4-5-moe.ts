import { denseFfn, sharedExpert } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

export const ernie45Moe = defineFamily({
  modelType: 'ernie4_5_moe',
  architecture: 'Ernie4_5_MoeForCausalLM',
  defaults: {
    vocab_size: 103_424,
    hidden_size: 2560,
    intermediate_size: 12_288,
    num_hidden_layers: 28,
    num_attention_heads: 20,
    num_key_value_heads: 4,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    rope_theta: 500_000,
    bos_token_id: 1,
    eos_token_id: 2,
    use_bias: false,
    num_experts: 64,
    num_experts_per_tok: 6,
    moe_intermediate_size: 1536,
    n_shared_experts: 2,
    moe_layer_start_index: 1,
    moe_layer_end_index: -1,
    moe_layer_interval: 1,
    moe_norm_min: 1e-12,
  },
  style: (config) => ({ ropeLayout: 'interleaved', headBias: config.use_bias }),
  layer: (config, index) => {
    const { moe_layer_start_index: start, moe_layer_end_index: end, n_shared_experts: shared } = config;
    const sparse = (index + 1) % config.moe_layer_interval === 0 && index >= start && (end < 0 || index <= end);
    const attention = { ...plainAttention, qkvBias: config.use_bias, outputBias: config.use_bias };
    if (!sparse) return attentionThenFfn(attention, denseFfn(config.intermediate_size, config.use_bias));
    const width = config.moe_intermediate_size;
    return attentionThenFfn(
      attention,
      {
        ...plainMoe,
        experts: config.num_experts,
        topK: config.num_experts_per_tok,
        intermediate: width,
        gate: {
          ...softmaxGate(false),
          renormalise: true,
          smallestSum: config.moe_norm_min,
          correction: { name: 'moe_statics.e_score_correction_bias', shape: [1, config.num_experts] },
        },
      },
      ...(shared > 0 ? [{ ...sharedExpert('mlp.shared_experts', width * shared), biases: config.use_bias }] : []),
    );
  },
});
