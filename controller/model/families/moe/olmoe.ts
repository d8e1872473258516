import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

export const olmoe = defineFamily({
  modelType: 'olmoe',
  architecture: 'OlmoeForCausalLM',
  defaults: {
    vocab_size: 50_304,
    hidden_size: 2048,
    intermediate_size: 2048,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: null,
    eos_token_id: 50_279,
    attention_bias: false,
    clip_qkv: null,
    num_experts: 64,
    num_experts_per_tok: 8,
    norm_topk_prob: false,
  },
  layer: (config) =>
    attentionThenFfn(
      {
        ...plainAttention,
        qkvBias: config.attention_bias,
        outputBias: config.attention_bias,
        qkNorm: 'full-width',
        clip: config.clip_qkv ?? 0,
      },
      {
        ...plainMoe,
        experts: config.num_experts,
        topK: config.num_experts_per_tok,
        intermediate: config.intermediate_size,
        gate: softmaxGate(config.norm_topk_prob),
      },
    ),
});
