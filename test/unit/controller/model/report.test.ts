import { rm } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import { reportModel } from '../../../../controller/model/report.ts';
import { shapeConfig } from '../../../../controller/model/synth/shapes.ts';
import { folderOf, goldenConfig, type Json } from './checkpoint-folder.ts';
import { withRunningSums } from './running-sums.ts';

/** Configurations of released models, and the sizes that are published for them, in billions of parameters. */
const released: readonly (readonly [string, Json, Json])[] = [
  [
    'Mixtral-8x7B',
    { model_type: 'mixtral' },
    { total: 46.7, active: 12.88, expertBytes: 352_321_536, kvBytes: 32 * 2 * 8 * 128 * 2 },
  ],
  [
    'Mixtral-8x22B',
    {
      model_type: 'mixtral',
      hidden_size: 6144,
      intermediate_size: 16_384,
      num_hidden_layers: 56,
      num_attention_heads: 48,
      vocab_size: 32_768,
    },
    { total: 140.63, active: 39.16, expertBytes: 603_979_776, kvBytes: 56 * 2 * 8 * 128 * 2 },
  ],
  [
    'Qwen1.5-MoE-A2.7B',
    { model_type: 'qwen2_moe' },
    { total: 14.32, active: 2.69, expertBytes: 17_301_504, kvBytes: 24 * 2 * 16 * 128 * 2 },
  ],
  [
    'Qwen2-57B-A14B',
    {
      model_type: 'qwen2_moe',
      hidden_size: 3584,
      num_hidden_layers: 28,
      num_attention_heads: 28,
      num_key_value_heads: 4,
      num_experts: 64,
      num_experts_per_tok: 8,
      moe_intermediate_size: 2560,
      shared_expert_intermediate_size: 20_480,
    },
    { total: 57.41, active: 14.25, expertBytes: 55_050_240, kvBytes: 28 * 2 * 4 * 128 * 2 },
  ],
  [
    'Qwen3-30B-A3B',
    shapeConfig('qwen3-30b-a3b'),
    { total: 30.53, active: 3.35, expertBytes: 9_437_184, kvBytes: 48 * 2 * 4 * 128 * 2 },
  ],
  [
    'Qwen3-235B-A22B',
    {
      ...shapeConfig('qwen3-30b-a3b'),
      hidden_size: 4096,
      num_hidden_layers: 94,
      num_attention_heads: 64,
      moe_intermediate_size: 1536,
    },
    { total: 235.09, active: 22.19, expertBytes: 37_748_736, kvBytes: 94 * 2 * 4 * 128 * 2 },
  ],
  [
    'OLMoE-1B-7B',
    shapeConfig('olmoe-7b'),
    { total: 6.92, active: 1.28, expertBytes: 12_582_912, kvBytes: 16 * 2 * 16 * 128 * 2 },
  ],
  [
    'Llama-3.1-8B',
    {
      model_type: 'llama',
      vocab_size: 128_256,
      intermediate_size: 14_336,
      num_key_value_heads: 8,
    },
    { total: 8.03, active: 8.03, expertBytes: undefined, kvBytes: 32 * 2 * 8 * 128 * 2 },
  ],
];

function billions(count: number): number {
  return Math.round(count / 1e7) / 100;
}

describe('a report counts', () => {
  test.each(released)('%s', async (_, config, expected) => {
    const folder = await folderOf(config);
    const { report } = await compileModel(folder);
    await rm(folder, { recursive: true });
    expect({
      total: billions(report.total.parameters),
      active: billions(report.activeParameters),
      expertBytes: report.experts?.each.bytes,
      kvBytes: report.kvBytesPerToken.bf16,
    }).toEqual(expected);
    expect(report.total.bytes).toBe(2 * report.total.parameters);
    expect(report.kvBytesPerToken.f32).toBe(2 * report.kvBytesPerToken.bf16);
    expect(Object.values(report.byRole).reduce((sum, { bytes }) => sum + bytes, 0)).toBe(report.total.bytes);
  });

  test('each role of a small model', async () => {
    const config = { ...goldenConfig('qwen2_moe'), decoder_sparse_step: 2 };
    const { report } = await compileModel(await folderOf(config));
    const parameters = Object.fromEntries(Object.entries(report.byRole).map(([role, size]) => [role, size.parameters]));
    expect(parameters).toEqual({
      embedding: 320 * 64,
      attention: 3 * (2 * 64 * 64 + 2 * 32 * 64 + 64 + 32 + 32),
      router: 8 * 64,
      experts: 8 * 3 * 32 * 64,
      sharedExperts: 3 * 64 * 64 + 64,
      denseFfn: 2 * 3 * 96 * 64,
      norms: 7 * 64,
      head: 320 * 64,
    });
    expect(report.experts).toEqual({
      layers: 1,
      perLayer: 8,
      topK: 2,
      each: { parameters: 3 * 32 * 64, bytes: 2 * 3 * 32 * 64 },
    });
    expect(report.activeParameters).toBe(report.total.parameters - 6 * 3 * 32 * 64);
    expect(report.files.bytes).toBeGreaterThan(report.total.bytes);
  });

  test('states beside keys and values', async () => {
    const { spec, report } = await compileModel(await folderOf(goldenConfig('qwen3')));
    const { f32 } = report.kvBytesPerToken;
    expect(report.stateBytesPerSequence).toBe(0);
    const mixed = reportModel(withRunningSums(spec, [0, 2]), 'mixed');
    expect(mixed.stateBytesPerSequence).toBe(2 * report.heads * report.headDim * 4);
    expect(mixed.kvBytesPerToken.f32).toBe(f32 / 3);
    expect(mixed.heads).toBe(report.heads);
  });

  test('layers with a sliding window', async () => {
    const layer_types = ['full_attention', 'sliding_attention', 'sliding_attention'];
    const config = { ...goldenConfig('qwen3'), use_sliding_window: true, sliding_window: 9, layer_types };
    const { report } = await compileModel(await folderOf(config));
    expect(report.slidingWindow).toEqual({ layers: 2, tokens: 9 });
  });

  test.each([
    ['nemotron_h', { 'linear attention': 2, 'network alone': 3, attention: 1 }, null],
    ['lfm2_moe', { 'short convolution': 3, attention: 2 }, null],
    ['jamba', { 'selective scan': 3, attention: 1 }, null],
    ['glm_moe_dsa', { 'latent attention': 3 }, { layers: 3, tokens: 6 }],
    ['glm_moe_dsa_shared', { 'latent attention': 4 }, { layers: 3, tokens: 7 }],
    ['longcat_flash', { 'latent attention': 4 }, null],
    ['gemma4_e', { attention: 5 }, null],
  ])('what mixes positions in the layers of %s', async (golden, kinds, selection) => {
    const { report } = await compileModel(await folderOf(goldenConfig(golden)));
    expect(report.layerKinds).toEqual(kinds);
    expect(report.selection).toEqual(selection);
  });
});
