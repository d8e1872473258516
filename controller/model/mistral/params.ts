/** config.json's keys from params.json, in which Mistral publishes models in its own layout. */
import { isObject } from '../config/json.ts';
import { quote } from '../config/problems.ts';

type Json = Readonly<Record<string, unknown>>;
type Names = Readonly<Record<string, string | null>>;

/** Keys, and what config.json calls them; null: read below, or of no matter to what the model computes. */
const keys: Names = {
  dim: 'hidden_size',
  n_layers: 'num_hidden_layers',
  n_heads: 'num_attention_heads',
  n_kv_heads: 'num_key_value_heads',
  head_dim: 'head_dim',
  hidden_dim: 'intermediate_size',
  norm_eps: 'rms_norm_eps',
  vocab_size: 'vocab_size',
  tied_embeddings: 'tie_word_embeddings',
  rope_theta: 'rope_theta',
  sliding_window: 'sliding_window',
  q_lora_rank: 'q_lora_rank',
  kv_lora_rank: 'kv_lora_rank',
  qk_nope_head_dim: 'qk_nope_head_dim',
  qk_rope_head_dim: 'qk_rope_head_dim',
  v_head_dim: 'v_head_dim',
  max_position_embeddings: 'max_position_embeddings',
  max_seq_len: null,
  max_batch_size: null,
  dtype: null,
  torch_dtype: null,
  moe: null,
  yarn: null,
  llama_4_scaling: null,
  quantization: null,
  vision_encoder: null,
  multimodal: null,
};

const expertKeys: Names = {
  num_experts: 'num_experts',
  num_experts_per_tok: 'num_experts_per_tok',
  expert_hidden_dim: 'moe_intermediate_size',
  num_shared_experts: 'n_shared_experts',
  routed_scale: 'routed_scaling_factor',
  first_k_dense_replace: 'first_k_dense_replace',
  num_expert_groups: 'n_group',
  num_expert_groups_per_tok: 'topk_group',
  route_every_n: null,
  expert_parallel: null,
  expert_model_parallel: null,
};

const yarnKeys: Names = {
  factor: 'factor',
  original_max_position_embeddings: 'original_max_position_embeddings',
  beta: 'beta_fast',
  alpha: 'beta_slow',
  apply_scale: null,
};

/** Values of keys that change what a model computes, where only one is supported. */
const only: Json = { use_biases: false, causal: true, model_type: 'transformer' };

/** Positions that a model is made for where its file does not say. */
const usualPositions = 128_000;

/** What config.json would say; reports what is unknown, by key and value. */
export function mistralConfig(params: Json, report: (problem: string) => void): Json {
  const config = renamed(params, keys, '', report);
  const experts = isObject(params['moe']) ? params['moe'] : null;
  const yarn = isObject(params['yarn']) ? params['yarn'] : null;
  const growing = isObject(params['llama_4_scaling']) ? params['llama_4_scaling'] : null;
  const latent = params['kv_lora_rank'] != null;
  const interval = experts?.['route_every_n'];
  if (interval != null && interval !== 1) report(`moe.route_every_n is ${quote(interval)}; supported: 1`);
  const family = experts === null ? 'ministral3' : latent ? 'mistral4' : 'mixtral';
  if (latent && experts === null) report('kv_lora_rank is given without moe; supported: both, or neither');
  if (growing !== null && family === 'mixtral')
    report('llama_4_scaling is given beside moe; supported: with kv_lora_rank');
  return {
    model_type: growing === null && family === 'ministral3' ? 'mistral' : family,
    max_position_embeddings: params['max_seq_len'] ?? usualPositions,
    // Where a file gives no window there is none.
    sliding_window: null,
    ...(latent && { num_key_value_heads: null, head_dim: null }),
    ...withoutHeads(config, latent),
    ...(experts && renamed(experts, expertKeys, 'moe.', report)),
    ...(yarn && { rope_scaling: ropeScaling(yarn, latent, report) }),
    ...(growing && {
      llama_4_scaling_beta: growing['beta'],
      original_max_position_embeddings: growing['original_max_position_embeddings'],
    }),
    ...quantisation(params['quantization'], report),
  };
}

/** Over latents, heads are as wide as their own keys say, and each has keys of its own. */
function withoutHeads({ head_dim: width, num_key_value_heads: heads, ...others }: Json, latent: boolean): Json {
  return latent ? others : { ...others, head_dim: width, num_key_value_heads: heads };
}

function renamed(file: Json, names: Names, path: string, report: (problem: string) => void): Json {
  const known: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(file)) {
    const name = Object.hasOwn(names, key) ? names[key] : undefined;
    if (typeof name === 'string' && value !== null) known[name] = value;
    else if (Object.hasOwn(only, key) && path === '' && value !== only[key])
      report(`${key} is ${quote(value)}; supported: ${quote(only[key])}`);
    else if (name === undefined && !Object.hasOwn(only, key))
      report(`${path}${key} is ${quote(value)}, which is not supported`);
  }
  return known;
}

/** Angles never grow with it, unless it says so; over latents, scores grow instead. */
function ropeScaling(yarn: Json, latent: boolean, report: (problem: string) => void): Json {
  const growth = yarn['apply_scale'] === true ? {} : { attention_factor: 1 };
  return {
    rope_type: 'yarn',
    ...renamed(yarn, yarnKeys, 'yarn.', report),
    ...(latent ? { mscale: 1, mscale_all_dim: 1 } : growth),
  };
}

function quantisation(given: unknown, report: (problem: string) => void): Json {
  if (given == null) return {};
  const { qformat_weight: format, quant_method: method } = isObject(given) ? given : {};
  if (format === 'fp8_e4m3') return { quantization_config: { quant_method: 'fp8', activation_scheme: 'static' } };
  if (method === 'compressed-tensors') return { quantization_config: given };
  report(`quantization is ${quote(given)}; supported: qformat_weight "fp8_e4m3", quant_method "compressed-tensors"`);
  return {};
}
