import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import {
  type Entries,
  folderOf,
  goldenConfig,
  goldenEntries,
  type Json,
  problemsOf,
  temporaryFolder,
  writeSafetensors,
} from './checkpoint-folder.ts';

const entries = goldenEntries('qwen3_moe');
const names = Object.keys(entries);

function pick(from: Entries, chosen: readonly string[]): Entries {
  return Object.fromEntries(chosen.map((name) => [name, from[name]!]));
}

/** A folder with the golden's tensors in two files, and an index changed by `edit`. */
async function shardedFolder(edit: (weightMap: Json) => void = () => {}, second = 'b.safetensors'): Promise<string> {
  const folder = await temporaryFolder();
  const half = names.length / 2;
  const [first, last] = [names.slice(0, half), names.slice(half)];
  await writeFile(join(folder, 'config.json'), JSON.stringify(goldenConfig('qwen3_moe')));
  await mkdir(join(folder, second, '..'), { recursive: true });
  await writeSafetensors(join(folder, 'a.safetensors'), pick(entries, first));
  await writeSafetensors(join(folder, second), pick(entries, last));
  const weightMap: Json = {
    ...Object.fromEntries(first.map((name) => [name, 'a.safetensors'])),
    ...Object.fromEntries(last.map((name) => [name, second])),
  };
  edit(weightMap);
  const index = { metadata: { total_size: 1 }, weight_map: weightMap };
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
  return folder;
}

describe('a sharded checkpoint', () => {
  test('compiles, each tensor in its file', async () => {
    const { spec } = await compileModel(await shardedFolder());
    expect(spec.files.map(({ path }) => path)).toEqual(['a.safetensors', 'b.safetensors']);
    expect(spec.embedding?.data?.file).toBe(0);
    expect(spec.finalNorm?.weight?.file).toBe(1);
  });

  test('may use folders below its own', async () => {
    const { spec } = await compileModel(await shardedFolder(() => {}, 'weights/b.safetensors'));
    expect(spec.files[1]?.path).toBe('weights/b.safetensors');
  });

  test('may consist of symbolic links', async () => {
    const folder = await shardedFolder();
    const blobs = await temporaryFolder();
    await rename(join(folder, 'a.safetensors'), join(blobs, '0123'));
    await symlink(join(blobs, '0123'), join(folder, 'a.safetensors'));
    expect((await compileModel(folder)).spec.files[0]?.path).toBe('a.safetensors');
  });

  test('lacks what its index puts elsewhere', async () => {
    const [first] = names;
    const problems = await problemsOf(
      await shardedFolder((weightMap) => {
        weightMap[first!] = 'b.safetensors';
        weightMap['phantom'] = 'a.safetensors';
      }),
    );
    expect(problems).toEqual([
      `tensor "${first}" is in a.safetensors; the index says b.safetensors`,
      'a.safetensors lacks tensor "phantom", which the index puts there',
    ]);
  });

  test('loads by its index, with a warning, where its files hold more', async () => {
    const folder = await shardedFolder();
    const whole = await compileModel(folder);
    expect(whole.warnings).toEqual([]);
    const more = { 'draft.weight': { dtype: 'BF16', shape: [4, 4] }, [names[0]!]: entries[names[0]!]! };
    await writeSafetensors(join(folder, 'b.safetensors'), { ...pick(entries, names.slice(names.length / 2)), ...more });
    const { spec, warnings } = await compileModel(folder);
    expect(spec.embedding).toEqual(whole.spec.embedding);
    expect(warnings).toEqual([
      'the weight files hold "draft.weight" and 1 more where model.safetensors.index.json does not put them; they are not loaded',
    ]);
  });

  test('is refused when a file is missing, without calling its tensors missing', async () => {
    const problems = await problemsOf(
      await shardedFolder((weightMap) => {
        weightMap['x'] = 'c.safetensors';
      }),
    );
    expect(problems).toEqual(['c.safetensors: no such file']);
  });

  test.each([
    '../b.safetensors',
    '/etc/b.safetensors',
    'a/../../b.safetensors',
    './b.safetensors',
    'a//b.safetensors',
    '..\\b.safetensors',
    'C:b.safetensors',
    'b.safetensors\0.safetensors',
    'b.bin',
    '',
    7,
    null,
  ])('is refused when its index names %j', async (path) => {
    const problems = await problemsOf(
      await shardedFolder((weightMap) => {
        weightMap['x'] = path;
      }),
    );
    expect(problems).toEqual([
      `model.safetensors.index.json: weight_map.x is ${JSON.stringify(path)}; expected a .safetensors path inside the folder`,
    ]);
  });

  test('is refused when its index names thousands of files', async () => {
    const problems = await problemsOf(
      await shardedFolder((weightMap) => {
        for (let i = 0; i < 10_000; i++) weightMap[`t${i}`] = `${i}.safetensors`;
      }),
    );
    expect(problems).toEqual(['model.safetensors.index.json: "weight_map" names 10002 files; at most 10000 are read']);
  });

  test.each([
    ['{', /^model.safetensors.index.json: /],
    ['[]', /^model.safetensors.index.json: expected a JSON object$/],
    ['{}', /^model.safetensors.index.json: expected an object at "weight_map"$/],
    ['{"weight_map": {}}', /^model.safetensors.index.json: "weight_map" is empty$/],
    ['{"weight_map": []}', /^model.safetensors.index.json: expected an object at "weight_map"$/],
    ['{"weight_map": {"a": "a.safetensors", "a": "b.safetensors"}}', /key "a" is given twice/],
  ])('is refused when its index is %s', async (text, problem) => {
    const folder = await shardedFolder();
    await writeFile(join(folder, 'model.safetensors.index.json'), text);
    const problems = await problemsOf(folder);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(problem);
  });
});

describe('the tensors', () => {
  const config = goldenConfig('qwen3_moe');
  const gate = 'model.layers.1.mlp.gate.weight';
  const down = 'model.layers.2.mlp.experts.5.down_proj.weight';
  const norm = 'model.layers.0.self_attn.q_norm.weight';

  test('are all listed that are missing, wrong, or too many', async () => {
    const { [gate]: _, ...others } = entries;
    const folder = await folderOf(config, {
      ...others,
      [down]: { dtype: 'BF16', shape: [32, 64] },
      [norm]: { dtype: 'I32', shape: [32] },
      'model.layers.0.self_attn.q_proj.bias': { dtype: 'BF16', shape: [128] },
    });
    expect([...(await problemsOf(folder))].sort()).toEqual([
      `tensor "${norm}" is I32; expected one of F32, F16, BF16`,
      'tensor "model.layers.0.self_attn.q_proj.bias" (BF16, [128]) is not part of the model',
      `tensor "${gate}" is missing; expected shape [8,64]`,
      `tensor "${down}" has shape [32,64]; expected [64,32]`,
    ]);
  });

  test('are counted where the list grows long', async () => {
    const folder = await folderOf(config, pick(entries, names.slice(0, 10)));
    await expect(compileModel(folder)).rejects.toMatchObject({
      code: 'INVALID_MODEL',
      directory: folder,
      problemCount: names.length - 10,
      problems: { length: 50 },
      message: expect.stringMatching(/^\/.*: (\d+) problems\n {2}tensor [^]*\n {2}… and \d+ more$/),
    });
  });

  test('may have different element types', async () => {
    const mixed = Object.fromEntries(
      Object.entries(entries).map(([name, { shape }], i) => [name, { dtype: ['F32', 'F16', 'BF16'][i % 3]!, shape }]),
    );
    const { report } = await compileModel(await folderOf(config, mixed));
    expect(Object.keys(report.bytesByType).sort()).toEqual(['BF16', 'F16', 'F32']);
  });

  test('that hold no weight are ignored', async () => {
    const folder = await folderOf(config, {
      ...entries,
      'model.layers.0.self_attn.rotary_emb.inv_freq': { dtype: 'F64', shape: [16] },
      'mtp.layers.0.mlp.gate.weight': { dtype: 'BF16', shape: [8, 64] },
    });
    await expect(compileModel(folder)).resolves.toBeDefined();
  });

  test('may hold a head that is tied to the embedding, but need not', async () => {
    const tied = { ...config, tie_word_embeddings: true };
    const { 'lm_head.weight': _, ...headless } = entries;
    for (const stored of [entries, headless]) {
      const { spec, report } = await compileModel(await folderOf(tied, stored));
      expect(spec.head).toEqual({ weight: spec.embedding, bias: null, biasStep: 1, biasGroup: 1 });
      expect(report.byRole.head).toEqual({ parameters: 0, bytes: 0 });
    }
    expect(await problemsOf(await folderOf(config, headless))).toEqual([
      'tensor "lm_head.weight" is missing; expected shape [320,64]',
    ]);
  });

  test('have names of bounded length in the list', async () => {
    const name = 'x'.repeat(100_000);
    const [problem] = await problemsOf(await folderOf(config, { ...entries, [name]: { dtype: 'F32', shape: [1] } }));
    expect(problem).toMatch(/^tensor "x{76}\.\.\. \(F32, \[1\]\) is not part of the model$/);
  });

  test('are not looked for by the billion', async () => {
    const huge = { ...config, num_hidden_layers: 2_000_000_000 };
    expect(await problemsOf(await folderOf(huge, entries))).toEqual([
      `config.json: 2000000000 layers of 8 experts need more than 16000000000 tensors; the checkpoint has ${names.length}`,
    ]);
  });
});
