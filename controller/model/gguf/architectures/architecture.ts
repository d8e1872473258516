/** What an architecture of GGUF is among the families, and what its files say in another way. */
import type { GgufValue } from '../container.ts';
import type { ExpertNames } from './names.ts';

export type Json = Record<string, unknown>;

/** What a file says of its architecture. */
export interface GgufFacts {
  /** By key below the architecture's name. */
  readonly keys: ReadonlyMap<string, GgufValue>;
  /** Shapes of tensors by their names, as ggml writes them. */
  readonly tensors: ReadonlyMap<string, readonly number[]>;
}

export interface Architecture {
  readonly modelType: string | ((facts: GgufFacts) => string);
  /** Converters permuted rows of queries and keys so that pairs that rotate together are neighbours. */
  readonly permuted?: boolean;
  /** Weights of norms are stored as they multiply, where the family stores them around 0. */
  readonly plainNorms?: boolean;
  /** Rope may be on a part of each head. */
  readonly partialRotary?: boolean;
  /** Widths of heads are not those of `attention.key_length` throughout: `keys` and `more` read them. */
  readonly ownWidths?: boolean;
  readonly experts?: ExpertNames;
  /** Tensors of a layer that lie elsewhere than most architectures' do: name, or name and kind, to the family's. */
  readonly names?: Readonly<Record<string, string>>;
  /** Keys that only it has, and what config.json calls them; null: what they say is known, or read by `more`. */
  readonly keys?: Readonly<Record<string, string | null>>;
  /** What its files do not say, or not by a key of config.json's. */
  readonly more?: (facts: GgufFacts) => Json;
  /** The same of the keys of a rope that is scaled. */
  readonly scaling?: (facts: GgufFacts) => Json;
}

export const number = ({ keys }: GgufFacts, key: string, otherwise = 0): number => {
  const value = keys.get(key);
  return typeof value === 'number' ? value : otherwise;
};

/** Whether the first layer that may have it has a tensor. */
export const has = ({ tensors }: GgufFacts, name: string): boolean =>
  [...tensors.keys()].some((tensor) => tensor.startsWith('blk.') && tensor.endsWith(`.${name}`));

/** Layers of the model itself, without those that only draft. */
const layersOf = (facts: GgufFacts): number => number(facts, 'block_count') - number(facts, 'nextn_predict_layers');

/** What each layer is: one thing where it has a tensor, else another. */
export const layersWith = <Kind>(facts: GgufFacts, name: string, kind: Kind, otherwise: Kind): Kind[] =>
  Array.from({ length: layersOf(facts) }, (_, layer) => (facts.tensors.has(`blk.${layer}.${name}`) ? kind : otherwise));

/** Which layers have experts. */
export const mlpLayers = (facts: GgufFacts): Json => ({
  mlp_layer_types: layersWith(facts, 'ffn_gate_inp.weight', 'sparse', 'dense'),
});

/** How many rows the first matrix of a name has; 0: no layer has one. */
export const rowsOf = ({ tensors }: GgufFacts, name: string): number =>
  [...tensors].find(([tensor]) => tensor.endsWith(`.${name}`))?.[1][0] ?? 0;

/** Key/value heads of the layers that have any. */
export function kvHeads({ keys }: GgufFacts): Json {
  const heads = keys.get('attention.head_count_kv');
  return Array.isArray(heads) ? { num_key_value_heads: Math.max(...heads.map(Number)) } : {};
}

/** How scores grow with the logarithm of how much yarn stretches positions; angles do not grow with it. */
export const growth = (multiplier: number): Json => ({ mscale: multiplier, mscale_all_dim: multiplier });

/** Norms before the feed-forward part that most architectures call ffn_norm. */
export const afterAttention = { post_attention_norm: 'post_attention_layernorm' } as const;

export const sharedExperts = {
  ffn_gate_shexp: 'mlp.shared_experts.gate_proj',
  ffn_up_shexp: 'mlp.shared_experts.up_proj',
  ffn_down_shexp: 'mlp.shared_experts.down_proj',
} as const;

/** Keys of experts that a correction of their scores balances. */
export const noauxKeys = {
  expert_shared_count: 'n_shared_experts',
  expert_weights_scale: 'routed_scaling_factor',
  expert_weights_norm: 'norm_topk_prob',
  expert_group_count: 'n_group',
  expert_group_used_count: 'topk_group',
  leading_dense_block_count: 'first_k_dense_replace',
  nextn_predict_layers: 'num_nextn_predict_layers',
  expert_gating_func: null,
} as const;

export const correctedBy = (name: string) => ({ 'exp_probs_b.bias': name, exp_probs_b: name });
export const corrected = { ...sharedExperts, ...correctedBy('mlp.gate.e_score_correction_bias') };

/** A network for every row beside experts. */
export const sharedNetwork = {
  ffn_gate_shexp: 'mlp.shared_mlp.gate_proj',
  ffn_up_shexp: 'mlp.shared_mlp.up_proj',
  ffn_down_shexp: 'mlp.shared_mlp.down_proj',
} as const;
