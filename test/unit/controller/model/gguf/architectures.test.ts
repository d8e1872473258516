import { copyFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileModel } from '../../../../../controller/model/compile.ts';
import type { ModelSpec } from '../../../../../proto/messages.ts';

/*
 * Each golden checkpoint was converted to GGUF by llama.cpp's converter, whose files' heads the fixtures are. What a model is
 * must not depend on which of the two it was read from.
 */
const fixtures = join(import.meta.dirname, '../../../../fixtures');

/** What of a checkpoint's configuration has no place in a GGUF file, as llama.cpp takes it. */
const unsaid: Readonly<Record<string, Record<string, unknown>>> = {
  afmoe: {},
  cohere: {},
  cohere2: {},
  cohere2_moe: {},
  dbrx: {},
  dots1: { sliding_window: null, layer_types: null },
  ernie_interval: { moe_layer_end_index: -1 },
  exaone_moe: {},
  gemma2: { query_pre_attn_scalar: 16 },
  gemma3: { query_pre_attn_scalar: 20, layer_types: null },
  gemma4_dense: {},
  gemma4_moe: {},
  glm4_moe_groups: {},
  gpt_oss_full: { layer_types: null },
  hy_v3: {},
  laguna: { layer_types: null, moe_router_logit_softcapping: null },
  lfm2_moe: { routed_scaling_factor: 1 },
  llama4_full: { no_rope_layers: [1, 1, 1], moe_layers: null },
  minimax_m2_full: {},
  minimax_m3: { swiglu_limit: 7 },
  ministral3: {},
  olmo2: {},
  olmo3: {},
  olmoe: {},
  phi3: {},
  phimoe_plain: { router_jitter_noise: 0.01 },
  qwen3_vl_moe: {},
  seed_oss: {},
  smollm3: { no_rope_layers: null, no_rope_layer_interval: 4 },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conclave-gguf-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A file as large as the head says, with no weights in it. */
async function ggufOf(name: string): Promise<string> {
  const path = join(folder, `${name}.gguf`);
  await writeFile(path, gunzipSync(await readFile(join(fixtures, 'gguf', `${name}.head.gz`))));
  await truncate(path, 1 << 20);
  return path;
}

/** The checkpoint's folder, its configuration changed. */
async function checkpointOf(name: string, changes: Record<string, unknown>): Promise<string> {
  const [from, to] = [join(fixtures, 'golden', name), await mkdtemp(join(folder, 'checkpoint-'))];
  for (const file of await readdir(from)) await copyFile(join(from, file), join(to, file));
  const config = JSON.parse(await readFile(join(from, 'config.json'), 'utf8')) as Record<string, object>;
  const { text_config: text } = config;
  const changed = text ? { ...config, text_config: { ...text, ...changes } } : { ...config, ...changes };
  await writeFile(join(to, 'config.json'), JSON.stringify(changed));
  return to;
}

/** What a model is, apart from where and how its weights are stored. */
function meaningOf({ layers, ...spec }: ModelSpec): unknown {
  const { name: _name, digest: _digest, files: _files, eosTokenIds: _ends, ...rest } = spec;
  return plain({ ...rest, layers });
}

const aboutStorage = new Set([
  'layout',
  'weightOffset',
  'biasStep',
  'biasGroup',
  'offsets',
  'names',
  'fileIndex',
  'rateAsMultiplied',
]);

function plain(value: unknown): unknown {
  if (typeof value === 'number') return Number(value.toPrecision(5));
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value)) return 'packed';
  if (typeof value !== 'object' || value === null) return value;
  if ('encoding' in value && 'rows' in value && 'cols' in value) return [value.rows, value.cols];
  if ('dtype' in value && 'shape' in value) return (value.shape as number[]).reduce((product, n) => product * n, 1);
  // A bias may lie between others.
  if ('weight' in value && 'biasStep' in value && 'bias' in value) {
    return { weight: plain(value.weight), bias: value.bias !== null };
  }
  if ('expert' in value && 'count' in value) return { count: value.count, expert: plain(value.expert) };
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (aboutStorage.has(key) ? [] : [[key, plain(inner)]])),
  );
}

describe.each(Object.entries(unsaid))('%s in a GGUF file', (name, changes) => {
  it('is the model that it was converted from', async () => {
    const [gguf, original] = await Promise.all([ggufOf(name), checkpointOf(name, changes)]);
    const [read, expected] = await Promise.all([compileModel(gguf), compileModel(original)]);
    expect(meaningOf(read.spec)).toEqual(meaningOf(expected.spec));
    expect(read.report.modelType).toBe(expected.report.modelType);
  });
});

describe('a model in several files', () => {
  const names = [1, 2, 3].map((number) => `olmo2-0000${number}-of-00003`);

  it('is whole, whichever of them is named', async () => {
    const paths = await Promise.all(names.map(ggufOf));
    const [whole, ...others] = await Promise.all([await ggufOf('olmo2'), ...paths].map((path) => compileModel(path)));
    for (const { spec } of others) {
      expect(meaningOf(spec)).toEqual(meaningOf(whole?.spec as ModelSpec));
      expect(spec.name).toBe('olmo2');
    }
  });

  it('says which of them is missing', async () => {
    const [first = '', second = ''] = await Promise.all(names.map(ggufOf));
    await rm(second);
    await expect(compileModel(first)).rejects.toThrow('olmo2-00002-of-00003.gguf: no such file');
  });
});

it('weights of norms that are stored as they multiply are not moved', async () => {
  const [gguf, original] = await Promise.all([
    compileModel(await ggufOf('gemma2')),
    compileModel(join(fixtures, 'golden/gemma2')),
  ]);
  expect(gguf.spec.finalNorm?.weightOffset).toBe(0);
  expect(original.spec.finalNorm?.weightOffset).toBe(1);
});
