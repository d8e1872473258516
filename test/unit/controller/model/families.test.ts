import { describe, expect, test } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import { denseOf, expertCount, gqaOf, moeOf } from '../../../../proto/model/operators.ts';
import { folderOf, goldenConfig, type Json, problemsOf } from './checkpoint-folder.ts';

async function compile(name: string, changes: Json) {
  return (await compileModel(await folderOf(change(name, changes)))).spec;
}

/** A golden's configuration with other values; undefined takes a key away. */
function change(name: string, changes: Json): Json {
  return Object.fromEntries(Object.entries({ ...goldenConfig(name), ...changes }).filter(([, v]) => v !== undefined));
}

async function windows(name: string, changes: Json): Promise<number[]> {
  return (await compile(name, changes)).layers.map((layer) => gqaOf(layer)!.slidingWindow);
}

describe('sliding windows', () => {
  const on = { use_sliding_window: true, sliding_window: 5 };

  test.each([
    ['mistral', { sliding_window: null }, [0, 0, 0]],
    ['mistral', { sliding_window: undefined }, [4096, 4096, 4096]],
    ['mixtral', { sliding_window: undefined }, [0, 0, 0]],
    ['mixtral', { sliding_window: 3 }, [3, 3, 3]],
    ['qwen3_moe', { ...on, use_sliding_window: false }, [0, 0, 0]],
    ['qwen3_moe', on, [5, 5, 5]],
    ['qwen2', { ...on, layer_types: undefined, max_window_layers: 1 }, [0, 5, 5]],
    ['qwen3', { ...on, layer_types: null, max_window_layers: 2 }, [0, 0, 5]],
    ['qwen3', { ...on, layer_types: ['sliding_attention', 'full_attention', 'sliding_attention'] }, [5, 0, 5]],
    ['qwen2_moe', { ...on, layer_types: undefined, max_window_layers: 2 }, [5, 0, 0]],
    ['qwen2_moe', { ...on, layer_types: ['full_attention', 'full_attention', 'sliding_attention'] }, [0, 0, 5]],
    ['llama', { sliding_window: 5 }, [0, 0, 0]],
  ])('%s with %j', async (name, changes, expected) => {
    expect(await windows(name, changes)).toEqual(expected);
  });
});

describe('layers with experts', () => {
  test.each([
    ['qwen3_moe', { mlp_only_layers: [1] }, ['moe', 'dense', 'moe']],
    ['qwen3_moe', { mlp_only_layers: null }, ['moe', 'moe', 'moe']],
    ['qwen2_moe', { decoder_sparse_step: 2 }, ['dense', 'moe', 'dense']],
    ['qwen2_moe', { decoder_sparse_step: 3, mlp_only_layers: [2] }, ['dense', 'dense', 'dense']],
    ['qwen3_moe', { num_local_experts: 0 }, ['dense', 'dense', 'dense']],
  ])('%s with %j', async (name, changes, expected) => {
    const { layers } = await compile(name, changes);
    expect(layers.map((layer) => layer.blocks[1]!.operators[0]!.kind)).toEqual(expected);
    expect(layers.map((layer) => layer.blocks[1]!.operators[0]!.dense?.ffn?.gate?.weight?.data?.shape)).toEqual(
      expected.map((kind) => (kind === 'dense' ? [96, 64] : undefined)),
    );
  });
});

describe('biases', () => {
  const attention = ['q', 'k', 'v', 'o'] as const;

  test.each([
    ['llama', { attention_bias: true }, 'qkvo'],
    ['qwen3', { attention_bias: true }, 'qkvo'],
    ['qwen2', { attention_bias: false }, 'qkv'],
    ['qwen2_moe', { qkv_bias: false }, ''],
    ['qwen3_moe', { attention_bias: true }, 'qkvo'],
    ['olmoe', { attention_bias: true }, 'qkvo'],
  ])('%s with %j', async (name, changes, expected) => {
    const { layers } = await compile(name, changes);
    expect(attention.filter((part) => gqaOf(layers[0])![part]?.bias).join('')).toBe(expected);
  });
});

test('a dynamic rope without alpha is a plain one up to where the model was made for', async () => {
  const plain = await compile('llama', { rope_parameters: { rope_type: 'default', rope_theta: 10_000 } });
  const dynamic = await compile('llama', { rope_parameters: { rope_type: 'dynamic', rope_theta: 10_000, factor: 2 } });
  expect(dynamic.ropes).toEqual(plain.ropes);
  expect(dynamic.maxPosition).toBe(plain.maxPosition);
});

async function scoring(name: string, changes: Json) {
  return moeOf((await compile(name, changes)).layers[0])!.gate!.scoring;
}

describe('keys that are left out, null, or called otherwise', () => {
  test('renormalisation of the gate', async () => {
    expect(await scoring('qwen3_moe', { norm_topk_prob: undefined })).toBe('GATE_SCORING_SOFTMAX_ALL');
    expect(await scoring('olmoe', { norm_topk_prob: true })).toBe('GATE_SCORING_SOFTMAX_TOPK');
    expect(await scoring('mixtral', { norm_topk_prob: false })).toBe('GATE_SCORING_SOFTMAX_TOPK');
  });

  test.each(['num_experts', 'num_local_experts', 'n_routed_experts', 'moe_num_experts'])(
    'the number of experts as %s',
    async (key) => {
      const spec = await compile('qwen3_moe', { num_local_experts: undefined, [key]: 5 });
      expect(expertCount(spec.layers[0])).toBe(5);
    },
  );

  test('the head dimension', async () => {
    expect(gqaOf((await compile('llama', { head_dim: null })).layers[0])!.headDim).toBe(16);
    expect(gqaOf((await compile('llama', { head_dim: undefined })).layers[0])!.headDim).toBe(16);
    expect(gqaOf((await compile('qwen3', { head_dim: undefined })).layers[0])!.headDim).toBe(128);
    expect(gqaOf((await compile('qwen3_moe', { head_dim: undefined })).layers[0])!.headDim).toBe(16);
  });

  test('the key/value heads', async () => {
    expect(gqaOf((await compile('llama', { num_key_value_heads: undefined })).layers[0])!.kvHeads).toBe(4);
    expect(gqaOf((await compile('qwen3_moe', { num_key_value_heads: null })).layers[0])!.kvHeads).toBe(4);
  });

  test('the rope base', async () => {
    for (const [name, base, pairs] of [['mixtral', 1e6, 4] as const, ['llama', 1e4, 8] as const]) {
      const { ropes } = await compile(name, { rope_parameters: undefined });
      expect(ropes[0]!.inverseFrequencies[1]).toBeCloseTo(base ** (-1 / pairs), 6);
    }
  });

  test('clip_qkv', async () => {
    expect(gqaOf((await compile('olmoe', { clip_qkv: 8.5 })).layers[0])!.clipQkv).toBe(8.5);
  });

  test('windows of smollm3, in layers without rope', async () => {
    const keys = { layer_types: null, use_sliding_window: true, sliding_window: 8 };
    const { layers } = await compile('smollm3', keys);
    expect(layers.map((layer) => gqaOf(layer)!.slidingWindow)).toEqual([0, 8, 0, 8]);
  });

  test('the family, by architectures alone', async () => {
    const spec = await compile('mixtral', { model_type: undefined, architectures: ['mixtralforcausallm'] });
    expect(moeOf(spec.layers[0])!.experts!.expert!.gate!.weight!.data!.name).toMatch(/block_sparse_moe.experts.{}.w1/);
  });

  test('another name of the same activation', async () => {
    expect(denseOf((await compile('llama', { hidden_act: 'swish' })).layers[0])!.ffn!.activation).toBe(
      'ACTIVATION_SILU',
    );
  });

  test('the rope of every layer is the same one', async () => {
    const { layers, ropes } = await compile('qwen3_moe', {});
    expect(ropes).toHaveLength(1);
    expect(layers.map((layer) => gqaOf(layer)!.rope)).toEqual([0, 0, 0]);
  });
});

const supported = 'mixtral, qwen2_moe, ';

function start(text: string): unknown {
  return expect.stringContaining(text);
}

function like(pattern: RegExp): unknown {
  return expect.stringMatching(pattern);
}

describe('a configuration is refused', () => {
  test.each<[string, Json, readonly unknown[]]>([
    ['llama', { model_type: 'gpt_neox' }, [start(`model_type is "gpt_neox"; supported: ${supported}`)]],
    ['llama', { model_type: 7 }, [start(`model_type is 7; supported: ${supported}`)]],
    [
      'llama',
      { model_type: null, architectures: ['GPTNeoXForCausalLM'] },
      [start(`architectures is ["GPTNeoXForCausalLM"]; supported: ${supported}`)],
    ],
    [
      'llama',
      { model_type: undefined, architectures: undefined },
      [start(`architectures is null; supported: ${supported}`)],
    ],
    ['llama', { hidden_act: 'gelu' }, ['hidden_act is "gelu"; supported: "silu", "swish", "gelu_pytorch_tanh"']],
    [
      'qwen3_moe',
      { quantization_config: { quant_method: 'hqq' } },
      ['quantization_config.quant_method is "hqq"; supported: fp8, compressed-tensors, gptq, awq, mxfp4, modelopt'],
    ],
    ['llama', { rope_parameters: { rope_type: 'cubic' } }, [like(/^rope_type is "cubic"; supported: /)]],
    [
      'llama',
      { rope_parameters: { rope_type: 'dynamic', alpha: 'x' } },
      [like(/^alpha of rope_type "dynamic" is "x": /)],
    ],
    ['llama', { rope_parameters: { rope_type: 'yarn', factor: 'x' } }, [like(/^factor of rope_type "yarn" is "x": /)]],
    ['minimax_m2_full', { attn_type_list: [1, 0] }, ['attn_type_list.1 is 0; supported: 1']],
    ['minimax_m2_full', { qk_norm_type: 'per_head' }, ['qk_norm_type is "per_head"; supported: "per_layer"']],
    ['minimax_m2_full', { use_qk_norm: false }, ['use_qk_norm is false; supported: true']],
    ['minimax_m2_full', { use_routing_bias: false }, ['use_routing_bias is false; supported: true']],
    ['minimax_m2_full', { scoring_func: 'softmax' }, ['scoring_func is "softmax"; supported: "sigmoid"']],
    ['minimax_m2_full', { shared_intermediate_size: 8 }, ['shared_intermediate_size is 8; supported: 0']],
    ['hy_v3', { mlp_bias: true }, ['mlp_bias is true; supported: false']],
    ['deepseek_v2_options', { mlp_bias: true }, ['mlp_bias is true; supported: false']],
    ['deepseek_v2_options', { scoring_func: 'sigmoid' }, ['scoring_func is "sigmoid"; supported: "softmax"']],
    ['deepseek_v3_groups', { scoring_func: 'softmax' }, ['scoring_func is "softmax"; supported: "sigmoid"']],
    ['deepseek_v3_groups', { topk_method: 'greedy' }, ['topk_method is "greedy"; supported: "noaux_tc"']],
    ['deepseek_v3_groups', { moe_layer_freq: 2 }, ['moe_layer_freq is 2; supported: 1']],
    [
      'deepseek_v3_groups',
      { num_key_value_heads: 2 },
      ['num_key_value_heads is 2; expected num_attention_heads, which is 4, for attention over latents'],
    ],
    ['mistral4_hub', { text_config: null }, ['text_config is null; expected the text model of a "mistral3"']],
    [
      'mistral4_hub',
      { tie_word_embeddings: true },
      ['tie_word_embeddings is true, text_config.tie_word_embeddings is false; they mean the same'],
    ],
    ['gpt_oss_full', { swiglu_alpha: 1.5 }, ['swiglu_alpha is 1.5; supported: 1.702']],
    [
      'gemma3',
      { use_bidirectional_attention: true },
      ['use_bidirectional_attention is true; supported: false, null, "vision"'],
    ],
    ['llama', { hidden_size: 0 }, [like(/^hidden_size is 0: /)]],
    ['llama', { hidden_size: 1.5 }, [like(/^hidden_size is 1.5: /)]],
    ['llama', { vocab_size: '320' }, [like(/^vocab_size is "320": /)]],
    ['llama', { num_hidden_layers: null }, [like(/^num_hidden_layers is null: /)]],
    ['llama', { rms_norm_eps: -1 }, [like(/^rms_norm_eps is -1: /)]],
    ['llama', { tie_word_embeddings: 'yes' }, [like(/^tie_word_embeddings is "yes": /)]],
    ['llama', { head_dim: 15 }, [like(/^head_dim is 15: /)]],
    ['llama', { eos_token_id: [1, 'x'] }, [like(/^eos_token_id is \[1,"x"\]: /)]],
    ['mixtral', { clip_qkv: 'x', sliding_window: -1 }, [like(/^sliding_window is -1: /)]],
    ['olmoe', { clip_qkv: 0 }, [like(/^clip_qkv is 0: /)]],
    [
      'qwen3',
      { layer_types: ['full_attention', 'chunked_attention', 'full_attention'] },
      ['layer_types has chunked_attention; supported: full_attention, sliding_attention'],
    ],
    [
      'qwen3',
      { layer_types: ['full_attention'] },
      ['layer_types has 1 entries; expected num_hidden_layers, which is 3'],
    ],
    [
      'qwen3',
      { layer_types: Array(3).fill('sliding_attention') },
      ['layer_types has sliding_attention, but use_sliding_window is false and sliding_window is null'],
    ],
    [
      'llama',
      { num_key_value_heads: 3 },
      ['num_attention_heads is 4; expected a multiple of num_key_value_heads, which is 3'],
    ],
    [
      'llama',
      { head_dim: null, hidden_size: 68 },
      ['hidden_size / num_attention_heads is 68 / 4; without head_dim an even number up to 65536 is expected'],
    ],
    ['mixtral', { num_experts_per_tok: 9 }, ['num_experts_per_tok is 9; expected at most num_experts, which is 8']],
    ['mixtral', { num_local_experts: 0 }, ['num_experts_per_tok is 2; expected at most num_experts, which is 0']],
    ['mixtral', { num_experts: 4 }, ['num_experts is 4, num_local_experts is 8; they mean the same']],
    [
      'qwen3_moe',
      { hidden_act: 'relu', norm_topk_prob: 1, hidden_size: -3 },
      [
        like(/^hidden_size is -3: /),
        'hidden_act is "relu"; supported: "silu", "swish", "gelu_pytorch_tanh"',
        like(/^norm_topk_prob is 1: /),
      ],
    ],
  ])('%s with %j', async (name, changes, expected) => {
    const folder = await folderOf(change(name, changes), { x: { dtype: 'F32', shape: [1] } });
    const problems = (await problemsOf(folder)).filter((problem) => problem.startsWith('config.json: '));
    expect(problems.map((problem) => problem.replace('config.json: ', ''))).toEqual(expected);
  });
});
