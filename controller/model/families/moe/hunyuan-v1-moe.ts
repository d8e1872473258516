import { denseFfn, sharedExpert } from '../../operators/ffn.ts';
import { type GqaShape, plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

const defaults = {
  vocab_size: 290_943,
  hidden_size: 4096,
  intermediate_size: 11_008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: null,
  head_dim: null,
  hidden_act: 'silu',
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
  rope_theta: 10_000,
  bos_token_id: 1,
  eos_token_id: 2,
  attention_bias: false,
} as const;

function attentionOf({ attention_bias: bias }: { readonly attention_bias: boolean }): GqaShape {
  return {
    ...plainAttention,
    qkvBias: bias,
    outputBias: bias,
    qkNorm: 'per-head',
    normNames: { q: 'query_layernorm', k: 'key_layernorm' },
    normAfterRope: true,
  };
}

export const hunyuanV1Dense = defineFamily({
  modelType: 'hunyuan_v1_dense',
  architecture: 'HunYuanDenseV1ForCausalLM',
  defaults,
  layer: (config) => attentionThenFfn(attentionOf(config), denseFfn(config.intermediate_size)),
});

export const hunyuanV1Moe = defineFamily({
  modelType: 'hunyuan_v1_moe',
  architecture: 'HunYuanMoEV1ForCausalLM',
  defaults: { ...defaults, num_experts: 1, num_experts_per_tok: 1 },
  layer: (config) =>
    attentionThenFfn(
      attentionOf(config),
      {
        ...plainMoe,
        experts: config.num_experts,
        topK: config.num_experts_per_tok,
        intermediate: config.intermediate_size,
        gate: { ...softmaxGate(true), name: 'gate.wg' },
      },
      sharedExpert('mlp.shared_mlp', config.intermediate_size),
    ),
});
