import { window, windowDefaults } from '../../config/window.ts';
import { numbered } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

export const mixtral = defineFamily({
  modelType: 'mixtral',
  architecture: 'MixtralForCausalLM',
  defaults: {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 1e6,
    bos_token_id: 1,
    eos_token_id: 2,
    ...windowDefaults(null),
    num_experts: 8,
    num_experts_per_tok: 2,
  },
  layer: (config) =>
    attentionThenFfn(
      { ...plainAttention, window: window(config) },
      {
        ...plainMoe,
        path: 'block_sparse_moe',
        names: numbered,
        experts: config.num_experts,
        topK: config.num_experts_per_tok,
        intermediate: config.intermediate_size,
        gate: softmaxGate(true),
      },
    ),
});
