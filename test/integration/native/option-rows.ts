/** Options of families whose layers differ in what mixes positions, as options.test.ts has them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenFolder } from '../../e2e/golden.ts';

/** A golden, an option that it sets, and the keys as they would be read if the option were ignored. */
export type Option = readonly [golden: string, option: string, ignored: Readonly<Record<string, unknown>>];

type Keys = Readonly<Record<string, unknown>>;

function configOf(golden: string): Readonly<Record<string, Keys>> {
  return JSON.parse(readFileSync(join(goldenFolder(golden), 'config.json'), 'utf8'));
}

/** A golden's rope keys. */
export function ropeOf(golden: string): Keys {
  return configOf(golden)['rope_parameters'] ?? {};
}

/** The same with those of full attention for every layer. */
function sameRopes(golden: string): Keys {
  const { full_attention: full } = ropeOf(golden);
  return { full_attention: full, sliding_attention: full };
}

const heavy = 'heavily_compressed_attention';

/** Other parameters of the rope of layers with entries. */
function compressRope(changed: Keys): Keys {
  return { ...ropeOf('deepseek_v4'), compress: { ...(ropeOf('deepseek_v4')['compress'] as Keys), ...changed } };
}

/** Another number of positions that an entry stands for. */
function compressRate(changed: Keys): Keys {
  return { compress_rates: { ...configOf('deepseek_v4')['compress_rates'], ...changed } };
}

/** Other keys of a model that is a part of another one. */
function textOf(golden: string, changed: Keys): Keys {
  return { text_config: { ...configOf(golden)['text_config'], ...changed } };
}

/** Other keys of minimax_m3's index. */
function index(changed: Keys): Keys {
  const { sparse_attention_config: sparse } = configOf('minimax_m3')['text_config'] ?? {};
  return textOf('minimax_m3', { sparse_attention_config: { ...(sparse as Keys), ...changed } });
}

export const mixerOptions: readonly Option[] = [
  ['deepseek_v32', 'index_topk', { index_topk: 512 }],
  ['deepseek_v32', 'index_topk (by one)', { index_topk: 6 }],
  ['glm_moe_dsa', 'index_topk', { index_topk: 512 }],
  ['glm_moe_dsa', 'attention_bias', { attention_bias: false }],
  ['glm_moe_dsa', 'model_type (how the index rotates)', { model_type: 'deepseek_v32' }],
  ['glm_moe_dsa_shared', 'indexer_types', { indexer_types: ['full', 'full', 'full', 'full'] }],
  ['glm_moe_dsa_shared', 'indexer_types (which)', { indexer_types: ['full', 'shared', 'full', 'full'] }],
  ['longcat_flash', 'zero_expert_num', { zero_expert_num: 0 }],
  ['longcat_flash', 'moe_topk', { moe_topk: 2 }],
  ['longcat_flash', 'routed_scaling_factor', { routed_scaling_factor: 1 }],
  ['longcat_flash', 'mla_scale_q_lora', { mla_scale_q_lora: false }],
  ['longcat_flash', 'mla_scale_kv_lora', { mla_scale_kv_lora: false }],
  ['longcat_flash', 'norm_topk_prob', { norm_topk_prob: true }],
  ['longcat_flash', 'rope_parameters.rope_theta', { rope_parameters: { rope_theta: 10_000 } }],
  [
    'kimi_linear',
    'linear_attn_config',
    { linear_attn_config: { ...configOf('kimi_linear')['linear_attn_config'], kda_layers: [1, 2, 3] } },
  ],
  ['kimi_linear', 'moe_renormalize', { moe_renormalize: false }],
  ['kimi_linear', 'mla_use_nope', { mla_use_nope: false }],
  ['bailing_hybrid', 'kda_safe_gate', { kda_safe_gate: false }],
  ['bailing_hybrid', 'kda_lower_bound', { kda_lower_bound: -1 }],
  ['bailing_hybrid', 'layer_group_size', { layer_group_size: 4 }],
  ['bailing_hybrid', 'num_expert_group', { num_expert_group: 1, topk_group: 1 }],
  ['bailing_hybrid', 'rope_parameters.rope_theta', { rope_theta: null, rope_parameters: { rope_theta: 10_000 } }],
  ['bailing_plain', 'kda_safe_gate', { kda_safe_gate: true }],
  ['bailing_plain', 'moe_renormalize', { moe_renormalize: true }],
  ['nemotron_h', 'hybrid_override_pattern', { hybrid_override_pattern: 'ME*-EM' }],
  ['nemotron_h', 'time_step_min', { time_step_min: 0.001 }],
  ['nemotron_h', 'use_bias', { use_bias: false }],
  ['nemotron_h', 'use_conv_bias', { use_conv_bias: true }],
  ['nemotron_h', 'n_groups', { n_groups: 4 }],
  ['nemotron_h', 'mlp_hidden_act', { mlp_hidden_act: 'silu' }],
  ['nemotron_h', 'moe_latent_size', { moe_latent_size: 16 }],
  ['nemotron_h_latent', 'moe_latent_size', { moe_latent_size: null }],
  ['nemotron_h_latent', 'n_group', { n_group: 1, topk_group: 1 }],
  ['nemotron_h_latent', 'routed_scaling_factor', { routed_scaling_factor: 1 }],
  ['gemma4_moe', 'attention_k_eq_v', { attention_k_eq_v: false }],
  ['gemma4_moe', 'per_layer_config', { per_layer_config: null }],
  ['gemma4_moe', 'enable_moe_block', { enable_moe_block: false }],
  ['gemma4_moe', 'final_logit_softcapping', { final_logit_softcapping: null }],
  ['gemma4_moe', 'top_k_experts', { top_k_experts: 3 }],
  ['gemma4_moe', 'num_kv_shared_layers', { num_kv_shared_layers: 1 }],
  ['gemma4_dense', 'global_head_dim', { global_head_dim: 12 }],
  ['gemma4_dense', 'sliding_window', { sliding_window: 8 }],
  ['gemma4_dense', 'layer_types', { layer_types: ['sliding_attention', 'full_attention', 'sliding_attention'] }],
  ['gemma4_dense', 'hidden_size_per_layer_input', { hidden_size_per_layer_input: 10 }],
  [
    'gemma4_dense',
    'rope_parameters.full_attention.partial_rotary_factor',
    {
      rope_parameters: {
        ...ropeOf('gemma4_dense'),
        full_attention: { rope_type: 'proportional', rope_theta: 1_000_000, partial_rotary_factor: 0.5 },
      },
    },
  ],
  ['deepseek_v4', 'sliding_window', { sliding_window: 8 }],
  ['deepseek_v4', 'compress_rates (sparse)', compressRate({ compressed_sparse_attention: 8 })],
  ['deepseek_v4', 'compress_rates (heavy)', compressRate({ [heavy]: 4 })],
  ['deepseek_v4', 'layer_types', { layer_types: [heavy, heavy, 'sliding_attention'] }],
  ['deepseek_v4', 'mlp_layer_types', { mlp_layer_types: ['moe', 'moe', 'moe'] }],
  ['deepseek_v4', 'index_topk', { index_topk: 4 }],
  ['deepseek_v4', 'index_n_heads', { index_n_heads: 8 }],
  ['deepseek_v4', 'index_head_dim', { index_head_dim: 16 }],
  ['deepseek_v4', 'o_groups', { o_groups: 2 }],
  ['deepseek_v4', 'o_lora_rank', { o_lora_rank: 16 }],
  ['deepseek_v4', 'hc_mult', { hc_mult: 4 }],
  ['deepseek_v4', 'hc_sinkhorn_iters', { hc_sinkhorn_iters: 1 }],
  ['deepseek_v4', 'hc_eps', { hc_eps: 1e-6 }],
  ['deepseek_v4', 'swiglu_limit', { swiglu_limit: 10 }],
  ['deepseek_v4', 'routed_scaling_factor', { routed_scaling_factor: 1.5 }],
  ['deepseek_v4', 'num_experts_per_tok', { num_experts_per_tok: 1 }],
  ['deepseek_v4', 'rms_norm_eps', { rms_norm_eps: 1e-6 }],
  ['deepseek_v4', 'q_lora_rank', { q_lora_rank: 24 }],
  [
    'deepseek_v4',
    'rope_parameters.main',
    { rope_parameters: { ...compressRope({}), main: ropeOf('deepseek_v4')['compress'] } },
  ],
  ['deepseek_v4', 'rope_parameters.compress.rope_theta', { rope_parameters: compressRope({ rope_theta: 10_000 }) }],
  ['deepseek_v4', 'rope_parameters.compress.factor', { rope_parameters: compressRope({ factor: 2 }) }],
  [
    'deepseek_v4',
    'rope_parameters.compress.attention_factor',
    { rope_parameters: compressRope({ attention_factor: null }) },
  ],
  ['gemma4_e', 'hidden_size_per_layer_input', { hidden_size_per_layer_input: 0 }],
  ['gemma4_e', 'num_kv_shared_layers', { num_kv_shared_layers: 1 }],
  ['gemma4_e', 'use_double_wide_mlp', { use_double_wide_mlp: false }],
  ['gemma4_e', 'final_logit_softcapping', { final_logit_softcapping: null }],
  ['mimo_v2_flash', 'attention_value_scale', { attention_value_scale: null }],
  ['mimo_v2_flash', 'v_head_dim', { v_head_dim: 24 }],
  ['mimo_v2_flash', 'attention_bias', { attention_bias: false }],
  ['mimo_v2_flash', 'sliding_window', { sliding_window: 7 }],
  ['mimo_v2_flash', 'routed_scaling_factor', { routed_scaling_factor: 1 }],
  ['mimo_v2_flash', 'rope_parameters.sliding_attention', { rope_parameters: sameRopes('mimo_v2_flash') }],
  ['laguna', 'num_attention_heads_per_layer', { num_attention_heads_per_layer: [4, 4, 4, 4] }],
  ['laguna', 'gating', { gating: 'per-element' }],
  ['laguna', 'moe_router_logit_softcapping', { moe_router_logit_softcapping: 0 }],
  ['laguna', 'moe_routed_scaling_factor', { moe_routed_scaling_factor: 1 }],
  ['laguna', 'rope_parameters.sliding_attention', { rope_parameters: sameRopes('laguna') }],
  ['laguna_elements', 'gating', { gating: true }],
  ['laguna_elements', 'mlp_layer_types', { mlp_layer_types: ['dense', 'dense', 'sparse'] }],
  ['lfm2_moe', 'norm_topk_prob', { norm_topk_prob: false }],
  ['lfm2_moe', 'routed_scaling_factor', { routed_scaling_factor: 1 }],
  ['lfm2_moe', 'num_dense_layers', { num_dense_layers: 1 }],
  ['lfm2_bias', 'conv_bias', { conv_bias: false }],
  ['lfm2_bias', 'use_expert_bias', { use_expert_bias: true }],
  ['lfm2_bias', 'norm_topk_prob', { norm_topk_prob: true }],
  ['lfm2_bias', 'conv_L_cache', { conv_L_cache: 3 }],
  ['minimax_m3', 'sparse_topk_blocks', index({ sparse_topk_blocks: 5 })],
  ['minimax_m3', 'sparse_block_size', index({ sparse_block_size: 8 })],
  ['minimax_m3', 'sparse_local_block', index({ sparse_local_block: 3 })],
  ['minimax_m3', 'sparse_attention_freq', index({ sparse_attention_freq: [0, 0, 1, 1] })],
  ['minimax_m3', 'swiglu_limit', textOf('minimax_m3', { swiglu_limit: 7 })],
  ['minimax_m3', 'routed_scaling_factor', textOf('minimax_m3', { routed_scaling_factor: 1 })],
  ['minimax_m3', 'moe_layer_freq', textOf('minimax_m3', { moe_layer_freq: [0, 0, 1, 1] })],
  ['jamba', 'attn_layer_offset', { attn_layer_offset: 1 }],
  ['jamba', 'mamba_conv_bias', { mamba_conv_bias: false }],
  ['jamba', 'mamba_dt_rank', { mamba_dt_rank: 'auto' }],
  ['jamba_bias', 'mamba_conv_bias', { mamba_conv_bias: true }],
  ['jamba_bias', 'mamba_proj_bias', { mamba_proj_bias: false }],
  ['jamba_bias', 'expert_layer_offset', { expert_layer_offset: 1 }],
];
