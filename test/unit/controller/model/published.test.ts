/** Shapes of published models, without their weights: what is counted of them, and plans on machines that could serve them. */
import { expect, test } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import { defaultConstraints, type PlanInput } from '../../../../controller/planner/input/input.ts';
import { plan } from '../../../../controller/planner/plan.ts';
import { folderOf, type Json } from './checkpoint-folder.ts';

interface Published {
  readonly config: Json;
  /** As their cards say, in billions. */
  readonly parameters: number;
  /** Bytes that a position takes in a cache of bf16. */
  readonly kvBytes: number;
  /** Of so many bytes each; weights are kept in q8. */
  readonly workers: readonly [count: number, gigabytes: number];
}

const latents = { q_lora_rank: 1536, kv_lora_rank: 512, qk_nope_head_dim: 128, qk_rope_head_dim: 64, v_head_dim: 128 };
const noaux = { topk_method: 'noaux_tc', scoring_func: 'sigmoid', norm_topk_prob: true, moe_layer_freq: 1 };
const yarn = { type: 'yarn', beta_fast: 32, beta_slow: 1, mscale: 1, mscale_all_dim: 1 };

const published: Readonly<Record<string, Published>> = {
  'DeepSeek-V3': {
    config: {
      model_type: 'deepseek_v3',
      hidden_size: 7168,
      intermediate_size: 18_432,
      moe_intermediate_size: 2048,
      num_hidden_layers: 61,
      num_attention_heads: 128,
      num_key_value_heads: 128,
      n_routed_experts: 256,
      num_experts_per_tok: 8,
      n_shared_experts: 1,
      first_k_dense_replace: 3,
      n_group: 8,
      topk_group: 4,
      routed_scaling_factor: 2.5,
      vocab_size: 129_280,
      max_position_embeddings: 163_840,
      rope_theta: 10_000,
      rope_scaling: { ...yarn, factor: 40, original_max_position_embeddings: 4096 },
      ...latents,
      ...noaux,
    },
    parameters: 671,
    kvBytes: 61 * (512 + 64) * 2,
    workers: [8, 128],
  },
  'Kimi-K2': {
    config: {
      model_type: 'kimi_k2',
      architectures: ['DeepseekV3ForCausalLM'],
      hidden_size: 7168,
      intermediate_size: 18_432,
      moe_intermediate_size: 2048,
      num_hidden_layers: 61,
      num_attention_heads: 64,
      num_key_value_heads: 64,
      n_routed_experts: 384,
      num_experts_per_tok: 8,
      n_shared_experts: 1,
      first_k_dense_replace: 1,
      n_group: 1,
      topk_group: 1,
      routed_scaling_factor: 2.827,
      vocab_size: 163_840,
      max_position_embeddings: 131_072,
      rope_theta: 50_000,
      rope_scaling: { ...yarn, beta_fast: 1, factor: 32, original_max_position_embeddings: 4096 },
      ...latents,
      ...noaux,
    },
    parameters: 1026,
    kvBytes: 61 * (512 + 64) * 2,
    workers: [12, 128],
  },
  'Qwen3-235B-A22B': {
    config: {
      model_type: 'qwen3_moe',
      hidden_size: 4096,
      intermediate_size: 12_288,
      moe_intermediate_size: 1536,
      num_hidden_layers: 94,
      num_attention_heads: 64,
      num_key_value_heads: 4,
      head_dim: 128,
      num_experts: 128,
      num_experts_per_tok: 8,
      norm_topk_prob: true,
      vocab_size: 151_936,
      max_position_embeddings: 40_960,
      rope_theta: 1_000_000,
    },
    parameters: 235,
    kvBytes: 94 * 2 * 4 * 128 * 2,
    workers: [5, 64],
  },
  'gpt-oss-120b': {
    config: {
      model_type: 'gpt_oss',
      hidden_size: 2880,
      intermediate_size: 2880,
      num_hidden_layers: 36,
      num_attention_heads: 64,
      num_key_value_heads: 8,
      head_dim: 64,
      num_local_experts: 128,
      num_experts_per_tok: 4,
      vocab_size: 201_088,
      sliding_window: 128,
      attention_bias: true,
      swiglu_limit: 7,
      max_position_embeddings: 131_072,
      rope_theta: 150_000,
      rope_scaling: {
        rope_type: 'yarn',
        factor: 32,
        beta_fast: 32,
        beta_slow: 1,
        truncate: false,
        original_max_position_embeddings: 4096,
      },
    },
    parameters: 116.8,
    kvBytes: 36 * 2 * 8 * 64 * 2,
    workers: [3, 64],
  },
  'Llama-4-Maverick': {
    config: {
      model_type: 'llama4_text',
      hidden_size: 5120,
      intermediate_size: 8192,
      intermediate_size_mlp: 16_384,
      num_hidden_layers: 48,
      num_attention_heads: 40,
      num_key_value_heads: 8,
      head_dim: 128,
      num_local_experts: 128,
      num_experts_per_tok: 1,
      interleave_moe_layer_step: 2,
      use_qk_norm: false,
      vocab_size: 202_048,
      max_position_embeddings: 1_048_576,
      rope_theta: 500_000,
    },
    parameters: 400,
    kvBytes: 48 * 2 * 8 * 128 * 2,
    workers: [5, 128],
  },
  'GLM-4.6': {
    config: {
      model_type: 'glm4_moe',
      hidden_size: 5120,
      intermediate_size: 12_288,
      moe_intermediate_size: 1536,
      num_hidden_layers: 92,
      num_attention_heads: 96,
      num_key_value_heads: 8,
      head_dim: 128,
      n_routed_experts: 160,
      num_experts_per_tok: 8,
      n_shared_experts: 1,
      first_k_dense_replace: 3,
      n_group: 1,
      topk_group: 1,
      norm_topk_prob: true,
      routed_scaling_factor: 2.5,
      attention_bias: true,
      use_qk_norm: true,
      partial_rotary_factor: 0.5,
      vocab_size: 151_552,
      max_position_embeddings: 202_752,
      rope_theta: 1_000_000,
    },
    parameters: 355,
    kvBytes: 92 * 2 * 8 * 128 * 2,
    workers: [4, 128],
  },
  'MiniMax-M2': {
    config: {
      model_type: 'minimax_m2',
      hidden_size: 3072,
      intermediate_size: 1536,
      num_hidden_layers: 62,
      num_attention_heads: 48,
      num_key_value_heads: 8,
      head_dim: 128,
      num_local_experts: 256,
      num_experts_per_tok: 8,
      rotary_dim: 64,
      vocab_size: 200_064,
      max_position_embeddings: 196_608,
      rope_theta: 5_000_000,
    },
    parameters: 229,
    kvBytes: 62 * 2 * 8 * 128 * 2,
    workers: [5, 64],
  },
};

test.each(Object.entries(published))(
  '%s has its published size, and a plan',
  async (_, { config, ...expected }) => {
    const { spec, report } = await compileModel(await folderOf(config));
    const billions = report.total.parameters / 1e9;
    expect(Math.abs(billions / expected.parameters - 1)).toBeLessThan(0.01);
    expect(report.kvBytesPerToken.bf16).toBe(expected.kvBytes);

    const [count, gigabytes] = expected.workers;
    const input = (workers: number): PlanInput => ({
      spec,
      weights: 'q8',
      workers: Array.from({ length: workers }, (_, i) => ({
        id: `w${i}`,
        address: `w${i}:1`,
        node: `n${i}`,
        roles: ['stage', 'expert'],
        memoryBytes: gigabytes * 1e9,
        cores: 64,
        device: 'cpu',
      })),
      load: null,
      // Room for 32,768 positions of all sequences.
      constraints: { ...defaultConstraints, kvBlocks: 1024, blockSize: 32 },
      constraintsRevision: 0,
      term: 1,
      previous: null,
      reason: 'test',
    });
    expect(plan(input(count)).kind).toBe('planned');
    // Half the machines hold half of the weights at most.
    expect(plan(input(Math.floor(count / 2))).kind).toBe('infeasible');
  },
  60_000,
);
