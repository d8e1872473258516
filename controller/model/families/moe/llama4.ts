import { denseFfn, sharedExpert } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { attentionThenFfn, defineFamily } from '../family.ts';

/** Layers with rope see their own chunk of positions, those without see all; experts read weighted rows. */
export const llama4 = defineFamily({
  modelType: 'llama4_text',
  architecture: 'Llama4ForCausalLM',
  defaults: {
    vocab_size: 202_048,
    hidden_size: 5120,
    intermediate_size: 8192,
    num_hidden_layers: 48,
    num_attention_heads: 40,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 131_072,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 500_000,
    bos_token_id: 1,
    eos_token_id: 2,
    attention_bias: false,
    intermediate_size_mlp: 16_384,
    num_experts: 16,
    num_experts_per_tok: 1,
    interleave_moe_layer_step: 1,
    moe_layers: null,
    use_qk_norm: true,
    no_rope_layers: null,
    no_rope_layer_interval: 4,
    attention_chunk_size: 8192,
    layer_types: null,
    attn_temperature_tuning: true,
    floor_scale: 8192,
    attn_scale: 0.1,
  },
  style: () => ({ ropeLayout: 'interleaved' }),
  layer: (config, index) => {
    const { layer_types: types, no_rope_layers: list, moe_layers: sparse } = config;
    const rotates = list?.length ? list[index] === 1 : (index + 1) % config.no_rope_layer_interval !== 0;
    const chunked = types ? types[index] === 'chunked_attention' : rotates;
    const tuned = config.attn_temperature_tuning && !rotates;
    const attention = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      rope: rotates ? 0 : null,
      qkNorm: rotates && config.use_qk_norm ? 'bare' : 'none',
      normAfterRope: true,
      chunk: chunked ? (config.attention_chunk_size ?? 0) : 0,
      queryScaling: tuned ? { factor: Math.fround(config.attn_scale), interval: config.floor_scale, offset: 1 } : null,
    } as const;
    const isSparse = sparse ? sparse.includes(index) : (index + 1) % config.interleave_moe_layer_step === 0;
    if (!isSparse)
      return attentionThenFfn(attention, { ...denseFfn(config.intermediate_size_mlp), path: 'feed_forward' });
    return attentionThenFfn(
      attention,
      {
        ...plainMoe,
        path: 'feed_forward',
        storage: 'transposed',
        names: { gateUp: 'experts.gate_up_proj', down: 'experts.down_proj' },
        experts: config.num_experts,
        topK: config.num_experts_per_tok,
        intermediate: config.intermediate_size,
        gate: { ...softmaxGate(false), name: 'router', scoring: 'GATE_SCORING_SIGMOID' },
        weightsOnInput: true,
      },
      sharedExpert('feed_forward.shared_expert', config.intermediate_size),
    );
  },
});
