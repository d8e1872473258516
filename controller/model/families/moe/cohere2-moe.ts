import { windowIf } from '../../config/window.ts';
import { denseFfn, sharedExpert } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { type MoeShape, plainMoe, softmaxGate } from '../../operators/moe.ts';
import { type ConfigFile, defineFamily, isDense } from '../family.ts';

/** Which of the two epsilons is given says what norm it is. */
function translate(file: ConfigFile): ConfigFile {
  const { rms_norm_eps: rms, layer_norm_eps: layer, ...others } = file;
  return { ...others, norm_kind: rms == null ? 'layer' : 'rms', rms_norm_eps: rms ?? layer };
}

/** Experts in cohere2's parallel layers; the dense ones before them have windows in a pattern of their own. */
export const cohere2Moe = defineFamily({
  modelType: 'cohere2_moe',
  architecture: 'Cohere2MoeForCausalLM',
  translate,
  defaults: {
    vocab_size: 256_000,
    hidden_size: 8192,
    intermediate_size: 22_528,
    num_hidden_layers: 40,
    num_attention_heads: 64,
    num_key_value_heads: null,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    norm_kind: 'layer',
    tie_word_embeddings: true,
    rope_theta: 10_000,
    bos_token_id: 5,
    eos_token_id: 255_001,
    attention_bias: false,
    sliding_window: 4096,
    sliding_window_pattern: 4,
    prefix_dense_sliding_window_pattern: 1,
    layer_types: null,
    logit_scale: 0.0625,
    first_k_dense_replace: 0,
    mlp_layer_types: null,
    prefix_dense_intermediate_size: null,
    num_experts: 8,
    num_experts_per_tok: 2,
    n_shared_experts: 0,
    shared_expert_combination_strategy: 'average',
    expert_selection_fn: 'softmax',
    norm_topk_prob: true,
  },
  style: (config) => ({
    norm: { kind: config.norm_kind, weightOffset: 0, bias: false },
    ropeLayout: 'interleaved',
    logitMultiplier: config.logit_scale,
  }),
  layer: (config, index) => {
    const { layer_types: types, first_k_dense_replace: prefix, intermediate_size: intermediate } = config;
    const pattern = index < prefix ? config.prefix_dense_sliding_window_pattern : (config.sliding_window_pattern ?? 1);
    const inPattern = ((index < prefix ? index : index - prefix) + 1) % pattern !== 0;
    const slides = (types ? types[index] === 'sliding_attention' : inPattern) && config.sliding_window !== null;
    const dense = isDense(config, index);
    const rotates = slides || (dense && config.prefix_dense_sliding_window_pattern === 1);
    const attention = {
      ...plainAttention,
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      rope: rotates ? 0 : null,
      window: windowIf(slides, config.sliding_window),
    };
    if (dense) {
      const width = config.prefix_dense_intermediate_size ?? intermediate;
      return [{ preNorm: 'input_layernorm', operators: [attention, denseFfn(width)] }];
    }
    const shared = config.n_shared_experts;
    const multiplier = shared > 0 && config.shared_expert_combination_strategy === 'average' ? 0.5 : 1;
    const gate =
      config.expert_selection_fn === 'softmax'
        ? softmaxGate(true)
        : ({ ...softmaxGate(false), scoring: 'GATE_SCORING_SIGMOID', renormalise: config.norm_topk_prob } as const);
    const routed: MoeShape = {
      ...plainMoe,
      experts: config.num_experts,
      topK: config.num_experts_per_tok,
      intermediate,
      gate: { ...gate, multiplier },
    };
    const besides = shared > 0 ? [{ ...sharedExpert('mlp.shared_experts', intermediate * shared), multiplier }] : [];
    return [{ preNorm: 'input_layernorm', operators: [attention, routed, ...besides] }];
  },
});
