import { expect, test } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import type { LayerSpec__Output as LayerSpec } from '../../../../proto/generated/conclave/v1/LayerSpec.ts';
import { gqaOf } from '../../../../proto/model/operators.ts';
import { folderOf, goldenConfig, goldenEntries, problemsOf } from './checkpoint-folder.ts';

const config = goldenConfig('mistral4_hub');
const stored = goldenEntries('mistral4_hub');

/** The same tensors under other names. */
function renamed(change: (name: string) => string) {
  return Object.fromEntries(Object.entries(stored).map(([name, entry]) => [change(name), entry]));
}

test.each([
  ['language_model.model.', (name: string) => name],
  [
    'model.language_model.',
    (name: string) =>
      name.replace('language_model.model.', 'model.language_model.').replace('language_model.lm_head', 'lm_head'),
  ],
  ['model.', (name: string) => name.replace('language_model.', '')],
])('a text model is found under %s', async (_, change) => {
  const { spec, warnings } = await compileModel(await folderOf(config, renamed(change)));
  expect(spec.layers).toHaveLength(2);
  expect(warnings).toEqual(['vision_tower (1 tensor): left out, as the model is served for text alone']);
});

test('whether the head is tied is seen from the tensors where no key says so', async () => {
  const { tie_word_embeddings: _, ...text } = config['text_config'] as Record<string, unknown>;
  const { tie_word_embeddings: __, ...outer } = config;
  const without = Object.fromEntries(Object.entries(stored).filter(([name]) => !name.includes('lm_head')));
  const tied = await compileModel(await folderOf({ ...outer, text_config: text }, without));
  expect(tied.spec.head?.weight?.data?.name).toBe(tied.spec.embedding?.data?.name);
  const untied = await compileModel(await folderOf({ ...outer, text_config: text }, stored));
  expect(untied.spec.head?.weight?.data?.name).toBe('lm_head.weight');
});

test('a text model that only its outer type names is Qwen3 within Qwen3-VL', async () => {
  const qwen3 = goldenConfig('qwen3');
  const { model_type: _, architectures: __, rope_parameters: ___, ...text } = qwen3;
  const rope = { rope_type: 'default', rope_theta: 10_000, mrope_interleaved: true, mrope_section: [6, 5, 5] };
  const outer = { model_type: 'qwen3_vl', tie_word_embeddings: true, text_config: { ...text, rope_parameters: rope } };
  const inside = Object.entries(goldenEntries('qwen3')).map(([name, entry]) => [
    name.replace('model.', 'model.language_model.'),
    entry,
  ]);
  const stored = { ...Object.fromEntries(inside), 'model.visual.patch_embed.weight': { dtype: 'BF16', shape: [2] } };
  const { spec, warnings } = await compileModel(await folderOf(outer, stored));
  const { spec: plain } = await compileModel(await folderOf({ ...qwen3, rope_parameters: { rope_theta: 10_000 } }));
  expect(spec.ropes).toEqual(plain.ropes);
  expect(spec.layers.map(operatorKinds)).toEqual(plain.layers.map(operatorKinds));
  expect(warnings).toEqual(['visual (1 tensor): left out, as the model is served for text alone']);
});

/** What a layer is made of, but for where its tensors lie. */
function operatorKinds(layer: LayerSpec) {
  const gqa = gqaOf(layer);
  return { norm: gqa?.qkNorm, heads: gqa?.heads, kvHeads: gqa?.kvHeads, rope: gqa?.rope, window: gqa?.slidingWindow };
}

test('what belongs to no part of the model is refused', async () => {
  const problems = await problemsOf(
    await folderOf(config, { ...stored, 'extra.weight': { dtype: 'F32', shape: [2] } }),
  );
  expect(problems).toEqual(['tensor "extra.weight" (F32, [2]) is not part of the model']);
});
