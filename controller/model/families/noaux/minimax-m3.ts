import { isObject } from '../../config/json.ts';
import { numbered, sharedExpert } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, sigmoidGate } from '../../operators/moe.ts';
import { attentionThenFfn, type ConfigFile, defineFamily } from '../family.ts';

const names = {
  q: 'index_q_proj',
  k: 'index_k_proj',
  qNorm: 'index_q_norm',
  kNorm: 'index_k_norm',
  weights: null,
} as const;

/** Attention to blocks of positions that index heads select, each for its part of the heads. */
export const minimaxM3 = defineFamily({
  modelType: 'minimax_m3_vl_text',
  architecture: 'MiniMaxM3ForCausalLM',
  translate,
  defaults: {
    vocab_size: 200_064,
    hidden_size: 6144,
    intermediate_size: 3072,
    dense_intermediate_size: 12_288,
    shared_intermediate_size: 3072,
    num_hidden_layers: 60,
    num_attention_heads: 64,
    num_key_value_heads: 4,
    head_dim: 128,
    hidden_act: 'silu',
    max_position_embeddings: 524_288,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    rope_theta: 5_000_000,
    bos_token_id: 200_034,
    eos_token_id: 200_020,
    layer_types: null,
    mlp_layer_types: null,
    index_n_heads: 4,
    index_head_dim: 128,
    index_block_size: 128,
    index_topk_blocks: 16,
    index_local_blocks: 1,
    num_experts: 128,
    num_experts_per_tok: 4,
    routed_scaling_factor: 2,
    swiglu_alpha: 1.702,
    swiglu_limit: 7,
  },
  style: () => ({ norm: { kind: 'rms', weightOffset: 1, bias: false }, partialRotary: 0.5 }),
  problem: ({ index_local_blocks: latest, index_topk_blocks: kept }) =>
    latest <= kept ? null : `index_local_blocks is ${latest}; expected at most index_topk_blocks, which is ${kept}`,
  layer: (config, index) => {
    const { layer_types: types, mlp_layer_types: ffns, num_experts: experts } = config;
    const sparse = types?.[index] === 'minimax_m3_sparse';
    const indexer = {
      heads: config.index_n_heads,
      headDim: config.index_head_dim,
      kept: config.index_topk_blocks,
      blockSize: config.index_block_size,
      latest: config.index_local_blocks,
      rope: 0,
      names,
      layerNormEpsilon: null,
    };
    const attention = { ...plainAttention, qkNorm: 'per-head', indexer: sparse ? indexer : null } as const;
    const activation = {
      activation: 'ACTIVATION_CLAMPED_SWIGLU',
      activationLimit: Math.fround(config.swiglu_limit),
    } as const;
    const network = (path: string, width: number) => ({ ...sharedExpert(path, width), activation });
    if (ffns?.[index] === 'dense') return attentionThenFfn(attention, network('mlp', config.dense_intermediate_size));
    const path = 'block_sparse_moe';
    const routed = {
      ...plainMoe,
      path,
      names: numbered,
      activation,
      experts,
      topK: config.num_experts_per_tok,
      intermediate: config.intermediate_size,
      gate: sigmoidGate('e_score_correction_bias', experts, { multiplier: config.routed_scaling_factor ?? 1 }),
    };
    return attentionThenFfn(attention, routed, network(`${path}.shared_experts`, config.shared_intermediate_size));
  },
});

/** As the files of the Hub say it: sizes of the index in an object of their own, and lists of 0 and 1. */
function translate(given: ConfigFile): ConfigFile {
  const { sparse_attention_config: sparse, ...file } = given;
  const named = (list: unknown, [zero, one]: readonly [string, string]) =>
    Array.isArray(list) ? list.map((kind) => (kind === 1 ? one : zero)) : undefined;
  const { sparse_attention_freq: layers, ...sizes } = isObject(sparse) ? sparse : {};
  return {
    ...sizes,
    layer_types: named(layers, ['full_attention', 'minimax_m3_sparse']),
    mlp_layer_types: named(file['moe_layer_freq'], ['dense', 'sparse']),
    ...file,
  };
}
