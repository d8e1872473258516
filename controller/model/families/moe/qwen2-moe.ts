import { alternatingWindow, layeredWindowDefaults } from '../../config/window.ts';
import { denseFfn, sharedExpert } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily, isSparse, type OperatorShape } from '../family.ts';

export const qwen2Moe = defineFamily({
  modelType: 'qwen2_moe',
  architecture: 'Qwen2MoeForCausalLM',
  defaults: {
    vocab_size: 151_936,
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 32_768,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: null,
    eos_token_id: null,
    qkv_bias: true,
    ...layeredWindowDefaults,
    num_experts: 60,
    num_experts_per_tok: 4,
    moe_intermediate_size: 1408,
    shared_expert_intermediate_size: 5632,
    norm_topk_prob: false,
    mlp_only_layers: null,
    decoder_sparse_step: 1,
  },
  layer: (config, index) => {
    const attention = { ...plainAttention, qkvBias: config.qkv_bias, window: alternatingWindow(config, index) };
    if (!isSparse(config, index)) return attentionThenFfn(attention, denseFfn(config.intermediate_size));
    const routed: OperatorShape = {
      ...plainMoe,
      experts: config.num_experts,
      topK: config.num_experts_per_tok,
      intermediate: config.moe_intermediate_size,
      gate: softmaxGate(config.norm_topk_prob),
    };
    const shared: OperatorShape = {
      ...sharedExpert('mlp.shared_expert', config.shared_expert_intermediate_size),
      outputGate: 'mlp.shared_expert_gate',
    };
    return attentionThenFfn(attention, routed, shared);
  },
});
