import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadNative } from '../../../native/load.ts';
import type { Isa } from '../../../native/native.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { keepsState, localRun, openModel, type Scores, score } from './model.ts';
import { mixerOptions, type Option, ropeOf } from './option-rows.ts';

/**
 * Every option that a family's code reads, the golden that sets it, and the configuration as it would be read if the option
 * were ignored: that must be refused, or give other log-probabilities, or the golden says nothing about the option.
 */
const options: readonly Option[] = [
  ['llama_f32_tied', 'tie_word_embeddings', { tie_word_embeddings: false }],
  ['llama_bias', 'attention_bias', { attention_bias: false }],
  ['llama_bias', 'rms_norm_eps', { rms_norm_eps: 1e-6 }],
  ['llama_bias', 'num_key_value_heads', { num_key_value_heads: 2 }],
  ['llama_linear_rope', 'rope_parameters.factor', { rope_parameters: { rope_type: 'default', rope_theta: 500 } }],
  ['llama_linear_rope', 'rope_parameters.rope_theta', { rope_parameters: { rope_type: 'linear', factor: 3 } }],
  ['llama', 'rope_parameters (llama3)', { rope_parameters: { rope_type: 'default', rope_theta: 10_000 } }],
  ['llama_yarn', 'rope_scaling (yarn)', { rope_scaling: null }],
  ['llama_yarn', 'head_dim', { head_dim: null }],
  ['llama_yarn_mscale', 'rope_parameters.mscale', { rope_parameters: { ...yarnMscale(), mscale: null } }],
  [
    'llama_yarn_mscale',
    'rope_parameters.mscale_all_dim',
    { rope_parameters: { ...yarnMscale(), mscale_all_dim: null } },
  ],
  ['llama_yarn_mscale', 'rope_parameters.truncate', { rope_parameters: { ...yarnMscale(), truncate: true } }],
  ['qwen3_moe_yarn', 'rope_parameters.attention_factor', { rope_parameters: { ...yarn(), attention_factor: null } }],
  ['qwen3_moe_yarn', 'rope_parameters.beta_fast', { rope_parameters: { ...yarn(), beta_fast: null } }],
  ['qwen3_moe_yarn', 'rope_parameters.beta_slow', { rope_parameters: { ...yarn(), beta_slow: null } }],
  ['mistral', 'sliding_window', { sliding_window: null }],
  ['mistral_long_window', 'sliding_window', { sliding_window: null }],
  ['mistral_headdim', 'head_dim', { head_dim: 12 }],
  ['mixtral_swa', 'sliding_window', { sliding_window: null }],
  ['mixtral_long_window', 'sliding_window', { sliding_window: null }],
  ['mixtral_odd', 'num_experts_per_tok', { num_experts_per_tok: 2 }],
  ['mixtral_all_experts', 'num_experts_per_tok', { num_experts_per_tok: 2 }],
  ['olmoe_clip', 'clip_qkv', { clip_qkv: null }],
  ['olmoe_norm_bias', 'clip_qkv', { clip_qkv: null }],
  ['olmoe_norm_bias', 'norm_topk_prob', { norm_topk_prob: false }],
  ['olmoe_norm_bias', 'attention_bias', { attention_bias: false }],
  ['qwen2_window', 'use_sliding_window', { use_sliding_window: false }],
  ['qwen2_window', 'max_window_layers', { max_window_layers: 0 }],
  ['qwen2_layers', 'layer_types', { layer_types: null }],
  ['qwen2_moe_norm', 'norm_topk_prob', { norm_topk_prob: false }],
  ['qwen2_moe_norm', 'decoder_sparse_step', { decoder_sparse_step: 1 }],
  ['qwen2_moe_norm', 'qkv_bias', { qkv_bias: true }],
  ['qwen2_moe_window', 'layer_types', { layer_types: ['full_attention', 'sliding_attention'] }],
  ['qwen2_moe_window', 'use_sliding_window', { use_sliding_window: false }],
  ['qwen2_moe_alternating', 'max_window_layers', { max_window_layers: 1 }],
  ['qwen2_moe_alternating', 'mlp_only_layers', { mlp_only_layers: [] }],
  ['qwen3_bias_window', 'attention_bias', { attention_bias: false }],
  ['qwen3_bias_window', 'max_window_layers', { max_window_layers: 0 }],
  ['qwen3_bias_window', 'use_sliding_window', { use_sliding_window: false }],
  ['qwen3_layers', 'layer_types', { layer_types: null }],
  ['qwen3_moe_nonorm', 'norm_topk_prob', { norm_topk_prob: true }],
  ['qwen3_moe_nonorm', 'mlp_only_layers', { mlp_only_layers: [] }],
  ['qwen3_moe_nonorm', 'attention_bias', { attention_bias: false }],
  ['qwen3_moe_yarn', 'num_experts_per_tok', { num_experts_per_tok: 2 }],
  ['qwen3_moe_window', 'use_sliding_window', { use_sliding_window: false }],
  ['qwen3_moe_window', 'sliding_window', { sliding_window: 6 }],
  ['qwen3_moe_sparse_step', 'decoder_sparse_step', { decoder_sparse_step: 1 }],
  ['deepseek_v2_options', 'topk_method', { topk_method: 'greedy' }],
  ['deepseek_v2_options', 'topk_group', { topk_group: 2 }],
  ['deepseek_v2_options', 'routed_scaling_factor', { routed_scaling_factor: 1 }],
  ['deepseek_v2_options', 'attention_bias', { attention_bias: false }],
  [
    'deepseek_v2_options',
    'rope_parameters.mscale_all_dim',
    { rope_parameters: { ...ropeOf('deepseek_v2_options'), mscale_all_dim: 0.5 } },
  ],
  [
    'deepseek_v2_options',
    'rope_parameters.mscale',
    { rope_parameters: { ...ropeOf('deepseek_v2_options'), mscale: 1 } },
  ],
  ['deepseek_v3_groups', 'n_group', { n_group: 1, topk_group: 1 }],
  ['deepseek_v3_groups', 'topk_group', { topk_group: 3 }],
  ['deepseek_v3_groups', 'tie_word_embeddings', { tie_word_embeddings: false }],
  ['deepseek_v3_groups', 'q_lora_rank', { q_lora_rank: null }],
  ['deepseek_v3_half', 'rope_interleave', { rope_interleave: true }],
  ['deepseek_v3_half', 'norm_topk_prob', { norm_topk_prob: true }],
  ['deepseek_v3_half', 'attention_bias', { attention_bias: false }],
  ['deepseek_v3_half', 'routed_scaling_factor', { routed_scaling_factor: 2.5 }],
  ['deepseek_v3_odd', 'rms_norm_eps', { rms_norm_eps: 1e-6 }],
  ['deepseek_v3_odd', 'first_k_dense_replace', { first_k_dense_replace: 1 }],
  ['deepseek_v3_odd', 'n_shared_experts', { n_shared_experts: 1 }],
  ['deepseek_v3_odd', 'rope_scaling', { rope_scaling: null }],
  ['glm4_moe_lite', 'mlp_layer_types', { mlp_layer_types: ['sparse', 'sparse', 'sparse'] }],
  ['glm4_moe_lite', 'rope_interleave', { rope_interleave: false }],
  ['mistral4_groups', 'n_group', { n_group: 1, topk_group: 1 }],
  ['mistral4_groups', 'norm_topk_prob', { norm_topk_prob: true }],
  ['mistral4_groups', 'routed_scaling_factor', { routed_scaling_factor: 1 }],
  [
    'mistral4_groups',
    'llama_4_scaling_beta',
    { rope_parameters: { ...ropeOf('mistral4_groups'), llama_4_scaling_beta: 0 } },
  ],
  ['mistral4_groups', 'rope_parameters.factor', { rope_parameters: { ...ropeOf('mistral4_groups'), factor: 1 } }],
  ['flex_olmo', 'num_experts_per_tok', { num_experts_per_tok: 3 }],
  ['ernie_interval', 'use_bias', { use_bias: false }],
  ['ernie_interval', 'moe_layer_interval', { moe_layer_interval: 1 }],
  ['ernie_interval', 'moe_layer_end_index', { moe_layer_end_index: 2 }],
  ['llama_mlp_bias', 'mlp_bias', { mlp_bias: false }],
  ['cohere2_moe', 'expert_selection_fn', { expert_selection_fn: 'softmax' }],
  ['cohere2_moe', 'norm_topk_prob', { norm_topk_prob: false }],
  ['cohere2_moe', 'shared_expert_combination_strategy', { shared_expert_combination_strategy: 'sum' }],
  ['cohere2_moe', 'prefix_dense_sliding_window_pattern', { prefix_dense_sliding_window_pattern: 2 }],
  ['cohere2_moe', 'prefix_dense_intermediate_size', { prefix_dense_intermediate_size: null }],
  ['cohere2_moe', 'mlp_layer_types', { mlp_layer_types: null }],
  ['cohere2_moe', 'layer_types', { layer_types: null }],
  ['cohere2_moe', 'logit_scale', { logit_scale: 0.25 }],
  ['cohere2_moe_softmax', 'expert_selection_fn', { expert_selection_fn: 'sigmoid' }],
  ['cohere2_moe_softmax', 'shared_expert_combination_strategy', { shared_expert_combination_strategy: 'average' }],
  ['cohere2_moe_softmax', 'rms_norm_eps', { rms_norm_eps: null }],
  ['cohere2_moe_softmax', 'num_shared_experts', { num_shared_experts: 1 }],
  ['dbrx', 'attn_config.clip_qkv', { attn_config: { kv_n_heads: 2, rope_theta: 500_000 } }],
  [
    'dbrx',
    'ffn_config.moe_normalize_expert_weights',
    { ffn_config: { ...dbrxNetwork(), moe_normalize_expert_weights: null } },
  ],
  ['olmo3', 'layer_types', { layer_types: null }],
  ['olmo3', 'sliding_window', { sliding_window: 7 }],
  ['olmo3', 'rope_parameters', { rope_parameters: { rope_type: 'default', rope_theta: 500_000 } }],
  ['phi3', 'partial_rotary_factor', { rope_parameters: { rope_type: 'default', rope_theta: 10_000 } }],
  ['phi3', 'rope_parameters.short_factor', { rope_parameters: { ...ropeOf('phi3'), rope_type: 'default' } }],
  ['qwen3_next_equal', 'attention_bias', { attention_bias: false }],
  ['qwen3_next_equal', 'norm_topk_prob', { norm_topk_prob: true }],
  ['qwen3_next_equal', 'mlp_only_layers', { mlp_only_layers: [] }],
  ['qwen3_next_equal', 'linear_conv_kernel_dim', { linear_conv_kernel_dim: 4 }],
  ['qwen3_next_equal', 'rope_parameters.partial_rotary_factor', { rope_parameters: { rope_theta: 10_000 } }],
  ['qwen3_next_equal', 'layer_types', { layer_types: null }],
  ['qwen3_next_wide', 'decoder_sparse_step', { decoder_sparse_step: 1 }],
  ['qwen3_next_wide', 'linear_key_head_dim', { linear_key_head_dim: 12 }],
  ['qwen3_next_wide', 'linear_num_value_heads', { linear_num_value_heads: 2 }],
  ['qwen3_5', 'rms_norm_eps', { rms_norm_eps: 0.01 }],
  ['qwen3_5', 'linear_value_head_dim', { linear_value_head_dim: 8 }],
  ['granitehybrid_groups', 'mamba_n_groups', { mamba_n_groups: 4 }],
  ['granitehybrid_groups', 'mamba_conv_bias', { mamba_conv_bias: true }],
  ['granitehybrid_groups', 'mamba_proj_bias', { mamba_proj_bias: false }],
  ['granitehybrid_groups', 'mamba_d_conv', { mamba_d_conv: 4 }],
  ['granitehybrid_groups', 'position_embedding_type', { position_embedding_type: 'nope' }],
  ['granitehybrid_groups', 'attention_bias', { attention_bias: false }],
  ['granitehybrid_groups', 'residual_multiplier', { residual_multiplier: 1 }],
  ['granitehybrid_dense', 'time_step_limit', { time_step_limit: null }],
  ['granitehybrid_dense', 'attention_multiplier', { attention_multiplier: 1 }],
  ['granitehybrid_dense', 'embedding_multiplier', { embedding_multiplier: 1 }],
  ['granitehybrid_dense', 'logits_scaling', { logits_scaling: 1 }],
  ['granitehybrid_dense', 'position_embedding_type', { position_embedding_type: 'rope' }],
  ['granite', 'attention_multiplier', { attention_multiplier: 1 }],
  ['granite', 'embedding_multiplier', { embedding_multiplier: 1 }],
  ['granite', 'residual_multiplier', { residual_multiplier: 1 }],
  ['granite', 'logits_scaling', { logits_scaling: 1 }],
  ['granite', 'attention_bias', { attention_bias: false }],
  ['granite', 'mlp_bias', { mlp_bias: false }],
  ['glm4', 'attention_bias', { attention_bias: false }],
  ['glm', 'attention_bias', { attention_bias: true }],
  ['glm', 'rope_parameters.partial_rotary_factor', { rope_parameters: { rope_theta: 10_000 } }],
  ['exaone4', 'sliding_window', { sliding_window: null }],
  ['exaone4', 'layer_types', { layer_types: null, sliding_window_pattern: 2 }],
  ['gemma', 'head_dim', { head_dim: null }],
  ['gemma', 'rms_norm_eps', { rms_norm_eps: 0.05 }],
  ['hunyuan_v1_dense', 'attention_bias', { attention_bias: false }],
  ['ernie4_5', 'use_bias', { use_bias: false }],
  ['arcee', 'mlp_bias', { mlp_bias: false }],
  ['arcee', 'attention_bias', { attention_bias: false }],
  ['lfm2', 'block_auto_adjust_ff_dim', { block_auto_adjust_ff_dim: false }],
  ['lfm2', 'block_ffn_dim_multiplier', { block_ffn_dim_multiplier: 1 }],
  ['lfm2', 'block_multiple_of', { block_multiple_of: 256 }],
  ['lfm2', 'conv_bias', { conv_bias: false }],
  ['lfm2', 'layer_types', { layer_types: null, full_attn_idxs: [0, 1] }],
  ...mixerOptions,
];

/** Goldens that set how weights lie in files rather than a key. */
const layouts = [
  'mixtral_f16',
  'mixtral_f32',
  'mixtral_shards_mix',
  'kimi_k25',
  'mistral4_hub',
  'qwen3_vl_moe',
  'qwen3_5_moe_fused_hub',
];

const native = loadNative();
const { isas } = native.hardware();
/** The required bound; logits here reach 30, so that f32 rounding over a few layers takes a tenth of it. */
const tolerance = 1e-3;

describe.each([...new Set([...options.map(([golden]) => golden), ...layouts])])('%s', (name) => {
  const goldens = readGoldens(name);
  const prompts = goldens.map(({ prompt }) => prompt);

  test.each(isas)(
    'f32 on %s gives the reference results alone, and bitwise the same in a batch and in chunks',
    async (isa) => {
      const alone: Scores[] = [];
      const batch = await scores(
        goldenFolder(name),
        async (run, state) => {
          for (const prompt of prompts) alone.push(...(await score(run, [prompt], undefined, 20, state)));
          return score(run, prompts, undefined, 20, state);
        },
        isa,
      );
      expect(batch).toEqual(alone);
      expect(await scores(goldenFolder(name), (run, state) => score(run, prompts, 7, 20, state), isa)).toEqual(alone);
      for (const [index, golden] of goldens.entries()) {
        const found = alone[index]!;
        expect(difference(found.logprobs, golden.promptLogprobs)).toBeLessThan(tolerance);
        expect(found.likeliest).toEqual(golden.likeliest.slice(0, golden.prompt.length));
        expect(found.continuation).toEqual(golden.continuation);
        expect(difference(found.continuationLogprobs, golden.continuationLogprobs)).toBeLessThan(tolerance);
      }
    },
  );
});

test.each(options)('%s would show that %s is ignored', async (name, _, ignored) => {
  const folder = await mkdtemp(join(tmpdir(), 'conclave-option-'));
  try {
    await cp(goldenFolder(name), folder, { recursive: true });
    const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object;
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...ignored }));
    const goldens = readGoldens(name);
    let found: readonly Scores[];
    try {
      found = await scores(folder, (run, state) =>
        score(
          run,
          goldens.map(({ prompt }) => prompt),
          undefined,
          0,
          state,
        ),
      );
    } catch (error) {
      expect(error).toMatchObject({ code: 'INVALID_MODEL' });
      return;
    }
    const largest = Math.max(...found.map(({ logprobs }, i) => difference(logprobs, goldens[i]!.promptLogprobs)));
    expect(largest).toBeGreaterThan(3 * tolerance);
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Log-probabilities and continuations from a model that is opened for this. */
async function scores(
  folder: string,
  use: (run: ReturnType<typeof localRun>, hasState: boolean) => Promise<readonly Scores[]>,
  isa: Isa | null = null,
): Promise<readonly Scores[]> {
  const model = await openModel(native, folder, { isa });
  try {
    return await use(localRun(model.stage), keepsState(model.spec));
  } finally {
    model.close();
  }
}

/** Largest difference of two lists of log-probabilities. */
function difference(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(0, ...a.map((value, index) => Math.abs(value - (b[index] ?? Number.NaN))));
}

/** The rope keys of qwen3_moe_yarn. */
function yarn() {
  const scaling = { attention_factor: 1.7, beta_fast: 4, beta_slow: 2 };
  return { rope_type: 'yarn', rope_theta: 100, factor: 8, original_max_position_embeddings: 64, ...scaling };
}

/** The rope keys of llama_yarn_mscale. */
function yarnMscale() {
  const scaling = { attention_factor: null, beta_slow: null };
  return { ...yarn(), ...scaling, mscale: 0.8, mscale_all_dim: 0.4, truncate: false };
}

/** The keys of dbrx's experts. */
function dbrxNetwork() {
  return { ffn_hidden_size: 20, moe_num_experts: 6, moe_top_k: 2 };
}
