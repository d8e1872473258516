import type { ModelConfig, SharedKey } from './config.ts';
import { linearAttentionProblems } from './linear-attention.ts';
import { windowProblem } from './window.ts';

/** Sizes that follow from the configuration. */
export interface Dimensions {
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Over latents: of the part that rotates. */
  readonly headDim: number;
}

/** Checks how the keys of a configuration fit together; reports what does not and returns null. */
export function deriveDimensions(
  config: Pick<ModelConfig, SharedKey> & Partial<ModelConfig>,
  report: (problem: string) => void,
): Dimensions | null {
  let valid = true;
  const check = (holds: boolean, problem: string) => {
    if (holds) return;
    valid = false;
    report(problem);
  };
  const { hidden_size: hidden, num_attention_heads: heads, num_hidden_layers: layers } = config;
  const kvHeads = config.num_key_value_heads ?? heads;
  const { qk_rope_head_dim: rotaryDim } = config;
  const headDim = rotaryDim ?? config.head_dim ?? hidden / heads;
  check(
    headDim % 2 === 0 && headDim <= 65_536,
    `hidden_size / num_attention_heads is ${hidden} / ${heads}; without head_dim an even number up to 65536 is expected`,
  );
  check(
    heads % kvHeads === 0,
    `num_attention_heads is ${heads}; expected a multiple of num_key_value_heads, which is ${kvHeads}`,
  );
  check(
    rotaryDim === undefined || kvHeads === heads,
    `num_key_value_heads is ${kvHeads}; expected num_attention_heads, which is ${heads}, for attention over latents`,
  );
  const { num_experts: experts, num_experts_per_tok: topK } = config;
  const mayBeDense = experts === 0 && denseKeys.some((key) => key in config);
  if (experts !== undefined && topK !== undefined && !mayBeDense) {
    check(topK > 0, 'num_experts_per_tok is 0; expected at least 1');
    const identities = config.zero_expert_num ?? 0;
    const beside = identities > 0 ? ` and zero_expert_num ${identities}` : '';
    check(
      topK <= experts + identities,
      `num_experts_per_tok is ${topK}; expected at most num_experts, which is ${experts}${beside}`,
    );
  }
  const { layer_types: types } = config;
  if (types) {
    check(
      types.length === layers,
      `layer_types has ${types.length} entries; expected num_hidden_layers, which is ${layers}`,
    );
  }
  const kinds = layerKinds(config);
  const unknown = types?.find((type) => !kinds.includes(type));
  check(unknown === undefined, `layer_types has ${unknown}; supported: ${kinds.join(', ')}`);
  for (const problem of linearAttentionProblems(config, hidden)) check(false, problem);
  const window = windowProblem(config);
  if (window !== null) check(false, window);
  return valid ? { hidden, heads, kvHeads, headDim } : null;
}

/** Keys of families that may have no experts. */
const denseKeys = ['mlp_only_layers', 'mamba_n_heads', 'enable_moe_block'];

/** What the layers of a family may be. */
function layerKinds(config: Partial<ModelConfig>): readonly string[] {
  if ('mlp_hidden_act' in config) return ['full_attention', 'linear_attention', 'mlp', 'moe'];
  if ('linear_conv_kernel_dim' in config || 'mamba_n_heads' in config) return ['full_attention', 'linear_attention'];
  if ('conv_L_cache' in config) return ['full_attention', 'conv'];
  if ('compress_rates' in config)
    return ['sliding_attention', 'compressed_sparse_attention', 'heavily_compressed_attention'];
  if ('index_topk' in config) return ['indexed_attention'];
  if ('index_topk_blocks' in config) return ['full_attention', 'minimax_m3_sparse'];
  const kinds = ['full_attention', 'sliding_attention'];
  return 'attention_chunk_size' in config ? [...kinds, 'chunked_attention'] : kinds;
}
