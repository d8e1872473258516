import { window, windowDefaults } from '../../config/window.ts';
import { numbered } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

export const phimoe = defineFamily({
  modelType: 'phimoe',
  architecture: 'PhimoeForCausalLM',
  defaults: {
    vocab_size: 32_064,
    hidden_size: 4096,
    intermediate_size: 6400,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 1_000_000,
    bos_token_id: 1,
    eos_token_id: 2,
    ...windowDefaults(null),
    attention_bias: false,
    lm_head_bias: false,
    num_experts: 16,
    num_experts_per_tok: 2,
    router_jitter_noise: 0.01,
  },
  style: (config) => ({ norm: { kind: 'layer', weightOffset: 0, bias: true }, headBias: config.lm_head_bias }),
  layer: (config) =>
    attentionThenFfn(
      {
        ...plainAttention,
        qkvBias: config.attention_bias,
        outputBias: config.attention_bias,
        window: window(config),
      },
      {
        ...plainMoe,
        path: 'block_sparse_moe',
        names: numbered,
        experts: config.num_experts,
        topK: config.num_experts_per_tok,
        intermediate: config.intermediate_size,
        gate: { ...softmaxGate(false), scoring: 'GATE_SCORING_SPARSEMIXER', jitter: config.router_jitter_noise },
      },
    ),
});
