// Writes the models that a check of a device runs: compiled specs of the golden checkpoints, which are named, and of one without
// weights, for times. usage: write-models.mjs FILE [--small] [NAME…]; all checkpoints unless some are named.
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';

const root = join(import.meta.dirname, '../../../..');
const fixtures = join(root, 'test/fixtures');
const { compileModel } = await import(join(root, 'dist/controller/model/compile.js'));

/** Without experts, whose choice rounding may change: their bits and errors say something in every format. */
const dense = ['llama', 'qwen3', 'gemma2'];
/** As the tests of the same checkpoints on processors have them. */
const limits = {
  f32: { mostError: 1e-3 },
  bf16: { mostNoise: 0.05 },
  q8: { mostNoise: 0.13 },
  q4: { mostNoise: 0.2 },
};

async function goldens(out, names) {
  const entries = [];
  for (const kind of ['golden', 'quantised']) {
    for (const name of readdirSync(join(fixtures, kind))) {
      const folder = join(fixtures, kind, name);
      const results = join(folder, 'golden.safetensors');
      if (!existsSync(results) || (names.length > 0 && !names.includes(name))) continue;
      const path = existsSync(join(folder, 'model.gguf')) ? join(folder, 'model.gguf') : folder;
      const { spec, directory } = await compileModel(path);
      const formats = kind === 'quantised' ? ['f32', 'q4'] : dense.includes(name) ? ['f32', 'bf16', 'q8'] : ['f32'];
      for (const weights of formats) {
        const places = { checkpoint: relative(dirname(out), directory), results: relative(dirname(out), results) };
        entries.push({ name, weights, ...limits[weights], ...places, spec });
      }
    }
  }
  return entries;
}

/** Qwen3-30B-A3B, or one that an emulation gets through: name and shape of every tensor. */
function largeModel(small) {
  const [hidden, layers, heads, keys, head, experts, topK, width, vocabulary] = small
    ? [64, 2, 4, 2, 16, 8, 2, 32, 128]
    : [2048, 48, 32, 4, 128, 128, 8, 768, 151_936];
  const config = {
    ...{ architectures: ['Qwen3MoeForCausalLM'], model_type: 'qwen3_moe', hidden_act: 'silu', torch_dtype: 'bfloat16' },
    ...{ hidden_size: hidden, num_hidden_layers: layers, num_attention_heads: heads, num_key_value_heads: keys },
    ...{ head_dim: head, num_experts: experts, num_experts_per_tok: topK, moe_intermediate_size: width },
    ...{ intermediate_size: 3 * hidden, vocab_size: vocabulary, max_position_embeddings: 40_960, rope_theta: 1e6 },
    ...{ rms_norm_eps: 1e-6, norm_topk_prob: true, decoder_sparse_step: 1, mlp_only_layers: [] },
    ...{
      attention_bias: false,
      tie_word_embeddings: false,
      bos_token_id: 0,
      eos_token_id: 1,
      use_sliding_window: false,
    },
  };
  const tensors = {
    'model.embed_tokens.weight': [vocabulary, hidden],
    'model.norm.weight': [hidden],
    'lm_head.weight': [vocabulary, hidden],
  };
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    Object.assign(tensors, {
      [`${at}.input_layernorm.weight`]: [hidden],
      [`${at}.post_attention_layernorm.weight`]: [hidden],
      [`${at}.self_attn.q_proj.weight`]: [heads * head, hidden],
      [`${at}.self_attn.k_proj.weight`]: [keys * head, hidden],
      [`${at}.self_attn.v_proj.weight`]: [keys * head, hidden],
      [`${at}.self_attn.o_proj.weight`]: [hidden, heads * head],
      [`${at}.self_attn.q_norm.weight`]: [head],
      [`${at}.self_attn.k_norm.weight`]: [head],
      [`${at}.mlp.gate.weight`]: [experts, hidden],
    });
    for (let expert = 0; expert < experts; expert++) {
      tensors[`${at}.mlp.experts.${expert}.gate_proj.weight`] = [width, hidden];
      tensors[`${at}.mlp.experts.${expert}.up_proj.weight`] = [width, hidden];
      tensors[`${at}.mlp.experts.${expert}.down_proj.weight`] = [hidden, width];
    }
  }
  return { config, tensors };
}

/** Compiles it from a file that has a header and a hole. */
async function large(small) {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-'));
  try {
    const { config, tensors } = largeModel(small);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    let bytes = 0;
    const header = {};
    for (const [name, shape] of Object.entries(tensors)) {
      const size = 2 * shape.reduce((product, length) => product * length, 1);
      header[name] = { dtype: 'BF16', shape, data_offsets: [bytes, bytes + size] };
      bytes += size;
    }
    const text = Buffer.from(JSON.stringify(header));
    const file = openSync(join(folder, 'model.safetensors'), 'w');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    writeSync(file, length);
    writeSync(file, text);
    ftruncateSync(file, 8 + text.length + bytes);
    closeSync(file);
    const { spec } = await compileModel(folder);
    return { spec: atTheStart(spec) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** With every tensor at the start of one file that is as long as the largest. */
function atTheStart(spec) {
  let longest = 0;
  const moved = (value) => {
    if (Array.isArray(value)) return value.map(moved);
    if (value === null || typeof value !== 'object') return value;
    const copy = Object.fromEntries(Object.entries(value).map(([key, member]) => [key, moved(member)]));
    if ('runOffsets' in copy) {
      copy.runOffsets = copy.runOffsets.map(() => 0);
      copy.unit = 0;
    }
    if ('dtype' in copy && 'shape' in copy) {
      copy.offset = 0;
      longest = Math.max(longest, 2 * copy.shape.reduce((product, size) => product * size, 1));
    }
    return copy;
  };
  const start = moved(spec);
  return { ...start, files: start.files.map(({ path }) => ({ path, bytes: longest })) };
}

/** As JSON.stringify, but for infinite numbers: readers of C take 1e999 for one. */
function stringify(value) {
  const infinite = '(infinite)';
  const text = JSON.stringify(value, (_, member) => (member === Number.POSITIVE_INFINITY ? infinite : member));
  return text.replaceAll(`"${infinite}"`, '1e999');
}

const small = process.argv.includes('--small');
const [file, ...names] = process.argv.slice(2).filter((argument) => argument !== '--small');
const out = resolve(file);
writeFileSync(out, stringify({ goldens: await goldens(out, names), large: await large(small) }));
