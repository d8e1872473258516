/** Keys of published files and of a current exporter that mean the same, and values that are refused by name. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import { folderOf, goldenConfig, type Json, problemsOf } from './checkpoint-folder.ts';

/** A golden's configuration, or that of the text model in it. */
function configOf(name: string): Json {
  const config = goldenConfig(name);
  return (config['text_config'] as Json | undefined) ?? config;
}

/** The same with other values; undefined takes a key away. */
function changed(name: string, changes: Json): Json {
  return Object.fromEntries(Object.entries({ ...configOf(name), ...changes }).filter(([, v]) => v !== undefined));
}

async function compile(config: Json) {
  const { layers, ropes, maxPosition } = (await compileModel(await folderOf(config))).spec;
  return { layers, ropes, maxPosition };
}

const full = 'full_attention';
const sliding = 'sliding_attention';
const linear = 'linear_attention';

const pairs: readonly (readonly [golden: string, changes: Json])[] = [
  [
    'kimi_linear',
    {
      linear_attn_config: undefined,
      layer_types: [linear, linear, full, linear],
      linear_head_dim: 12,
      linear_num_heads: 3,
      linear_conv_kernel_dim: 4,
      model_max_length: undefined,
      max_position_embeddings: 512,
    },
  ],
  [
    'nemotron_h',
    {
      hybrid_override_pattern: undefined,
      layers_block_type: ['mamba', 'moe', 'attention', 'mlp', 'mamba', 'moe'],
      mamba_dt_min: 0.3,
      time_step_min: undefined,
    },
  ],
  ['bailing_hybrid', { layer_group_size: undefined, layer_types: [linear, linear, full, linear] }],
  [
    'mimo_v2_flash',
    {
      layer_types: undefined,
      hybrid_layer_pattern: [0, 1, 1, 0],
      mlp_layer_types: undefined,
      moe_layer_freq: [0, 1, 1, 1],
      sliding_window: undefined,
      sliding_window_size: 5,
      rope_parameters: undefined,
      rope_theta: 5_000_000,
      swa_rope_theta: 10_000,
      partial_rotary_factor: 0.334,
    },
  ],
  ['lfm2_moe', { tie_word_embeddings: undefined, tie_embedding: true }],
  [
    'minimax_m3',
    {
      sparse_attention_config: undefined,
      layer_types: [full, 'minimax_m3_sparse', 'minimax_m3_sparse', 'minimax_m3_sparse'],
      index_n_heads: 2,
      index_head_dim: 16,
      index_block_size: 4,
      index_topk_blocks: 4,
      index_local_blocks: 1,
      moe_layer_freq: undefined,
      mlp_layer_types: ['dense', 'sparse', 'sparse', 'sparse'],
    },
  ],
  ['gemma4_moe', { per_layer_config: undefined, global_head_dim: 16, num_global_key_value_heads: 1 }],
  ['gemma4_moe', { layer_types: [sliding, sliding, sliding] }],
  ['gemma4_moe', { rope_parameters: undefined, use_bidirectional_attention: 'vision' }],
  ['gemma4_dense', { layer_types: [sliding, sliding, full], num_experts: undefined, moe_intermediate_size: undefined }],
  ['glm_moe_dsa', { indexer_types: undefined, index_topk_pattern: 'FFF' }],
  ['glm_moe_dsa_shared', { indexer_types: undefined, index_topk_pattern: 'FFSF' }],
  ['glm_moe_dsa_shared', { indexer_types: undefined, index_topk_pattern: ['F', 'F', 'S', 'F'] }],
  ['glm_moe_dsa_shared', { indexer_types: undefined, index_topk_freq: 2, index_skip_topk_offset: 2 }],
  ['longcat_flash', { num_layers: undefined, num_hidden_layers: 4, zero_expert_type: 'identity', router_bias: false }],
  [
    'longcat_flash',
    { expert_ffn_hidden_size: undefined, moe_intermediate_size: 20, ffn_hidden_size: undefined, intermediate_size: 32 },
  ],
  ['exaone4', { layer_types: undefined }],
  ['gemma', { hidden_act: 'gelu' }],
  ['lfm2', { layer_types: undefined, full_attn_idxs: [1, 3] }],
  ['lfm2', { norm_eps: undefined, rms_norm_eps: 1e-5, intermediate_size: 1, block_ff_dim: 48 }],
  [
    'deepseek_v4',
    {
      layer_types: undefined,
      compress_ratios: [128, 4, 0, 0],
      compress_rates: undefined,
      compress_rate_csa: 4,
      compress_rate_hca: 8,
      partial_rotary_factor: undefined,
      qk_rope_head_dim: 8,
      rope_parameters: undefined,
      rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 16 },
    },
  ],
  ['gemma4_e', { vocab_size_per_layer_input: undefined, num_global_key_value_heads: undefined }],
];

test.each(pairs)('%s is the same with %j', async (golden, changes) => {
  expect(await compile(changed(golden, changes))).toEqual(await compile(configOf(golden)));
});

test('layers of deepseek_v4 are named by their numbers too', async () => {
  const types = changed('deepseek_v4', { mlp_layer_types: ['hash_moe', 'hash_moe', 'moe'] });
  const number = changed('deepseek_v4', { mlp_layer_types: undefined, num_hash_layers: 2 });
  expect(await compile(number)).toEqual(await compile(types));
});

test('numbers that only Python writes are read, and strings stay', async () => {
  const config = { ...goldenConfig('granitehybrid_dense'), name: 'to Infinity, and NaN', time_step_limit: [0, 'INF'] };
  const folder = await folderOf({ ...config, time_step_limit: null });
  await writeFile(join(folder, 'config.json'), JSON.stringify(config).replace('"INF"', 'Infinity'));
  const { layers } = (await compileModel(folder)).spec;
  expect(layers).toEqual((await compile({ ...config, time_step_limit: null })).layers);
});

const refused: readonly (readonly [golden: string, changes: Json, problem: string])[] = [
  ['deepseek_v4', { scoring_func: 'sigmoid' }, 'scoring_func is "sigmoid"; supported: "sqrtsoftplus"'],
  ['deepseek_v4', { norm_topk_prob: false }, 'norm_topk_prob is false; supported: true'],
  ['deepseek_v4', { n_shared_experts: 2 }, 'n_shared_experts is 2; supported: 1'],
  ['deepseek_v4', { num_key_value_heads: 2 }, 'num_key_value_heads is 2; supported: 1'],
  ['deepseek_v4', { attention_bias: true }, 'attention_bias is true; supported: false'],
  ['deepseek_v4', { mlp_bias: true }, 'mlp_bias is true; supported: false'],
  ['deepseek_v4', { hidden_act: 'gelu_pytorch_tanh' }, 'hidden_act is "gelu_pytorch_tanh"; supported: "silu"'],
  ['deepseek_v4', { hc_mult: 1 }, 'hc_mult is 1'],
  ['deepseek_v4', { o_groups: 3 }, 'o_groups is 3; expected a divisor of num_attention_heads, which is 4'],
  ['deepseek_v4', { layer_types: undefined, compress_ratios: [64, 4, 0] }, 'layer_types.0 is "64"; supported: '],
  ['deepseek_v4', { mlp_layer_types: ['hash_moe', 'dense', 'moe'] }, 'mlp_layer_types.1 is "dense"; supported: '],
  ['glm_moe_dsa', { indexer_types: ['shared', 'full', 'full'] }, 'layer 0 shares an indexer'],
  ['glm_moe_dsa', { indexer_types: ['full', 'full'] }, 'indexer_types has 2 entries; expected num_hidden_layers'],
  ['glm_moe_dsa', { indexer_types: undefined, index_topk_pattern: 'FXF' }, 'index_topk_pattern.1 is "X"'],
  ['longcat_flash', { zero_expert_type: 'drop' }, 'zero_expert_type is "drop"; supported: "identity"'],
  ['longcat_flash', { router_bias: true }, 'router_bias is true; supported: false'],
  ['longcat_flash', { moe_topk: 9 }, 'num_experts, which is 5 and zero_expert_num 3'],
  ['glm_moe_dsa', { layer_types: ['full_attention', 'full_attention', 'full_attention'] }, 'layer_types has full'],
  ['nemotron_h', { hybrid_override_pattern: 'ME*-MX' }, 'layer_types is "ME*-MX"'],
  ['nemotron_h', { hybrid_override_pattern: undefined }, 'hybrid_override_pattern and layers_block_type are missing'],
  ['nemotron_h', { mamba_hidden_act: 'gelu' }, 'mamba_hidden_act is "gelu"; supported: "silu"'],
  ['nemotron_h', { mlp_hidden_act: 'silu' }, 'mlp_hidden_act is "silu"; supported: "relu2"'],
  ['nemotron_h', { moe_latent_size: 16 }, 'fc1_latent_proj.weight" is missing'],
  ['gemma4_dense', { hidden_size_per_layer_input: 256 }, 'embed_tokens_per_layer.weight" is missing'],
  ['gemma4_e', { vocab_size_per_layer_input: 300 }, 'vocab_size_per_layer_input is 300; supported: vocab_size'],
  ['gemma4_e', { num_kv_shared_layers: 5 }, 'num_kv_shared_layers is 5, but no layer like layer 4'],
  ['kimi_linear', { linear_attn_config: undefined }, 'linear_attn_config and layer_types are missing'],
  ['kimi_linear', { mla_use_nope: false }, 'mla_use_nope is false; supported: true'],
  ['laguna', { num_attention_heads_per_layer: [4, 4, 4] }, 'num_attention_heads_per_layer has 3 entries'],
  [
    'laguna',
    { num_attention_heads_per_layer: [4, 4, 4, 5] },
    'num_attention_heads_per_layer has 5; expected multiples',
  ],
  ['laguna', { gating: false }, 'gating is false'],
  ['minimax_m3', { swiglu_alpha: 1 }, 'swiglu_alpha is 1; supported: 1.702'],
  ['lfm2_moe', { layer_types: undefined }, 'layer_types is missing'],
];

test.each(refused)('%s with %j is refused', async (golden, changes, problem) => {
  const problems = await problemsOf(await folderOf(changed(golden, changes), {}));
  expect(problems.join('\n')).toContain(problem);
});
