import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, test } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import { layOut } from '../../../../controller/model/synth/layout.ts';
import { NewFolder } from '../../../../controller/model/synth/new-folder.ts';
import { shapeNames } from '../../../../controller/model/synth/shapes.ts';
import { synthesise } from '../../../../controller/model/synth/synth.ts';
import { tokenizerConfigJson, tokenizerJson } from '../../../../controller/model/synth/tokenizer.ts';
import { WeightGenerator } from '../../../../controller/model/synth/weights.ts';
import { Template } from '../../../../controller/text/jinja/template.ts';
import { fromJson } from '../../../../controller/text/jinja/values/from-json.ts';
import { temporaryFolder } from './checkpoint-folder.ts';

/** SHA-256 of everything in a tiny checkpoint. */
async function digest(seed?: number): Promise<string> {
  const folder = await temporaryFolder();
  await synthesise('tiny', folder, seed === undefined ? {} : { seed });
  const hash = createHash('sha256');
  for (const name of (await readdir(folder)).sort()) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest('hex');
}

function toFloats(bf16: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(bf16, (bits) => bits << 16).buffer);
}

function moments(values: Float32Array): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) };
}

function readTokenizer(size: number) {
  const json = JSON.parse(tokenizerJson(size));
  return { json, tokenizer: new Tokenizer(json, JSON.parse(tokenizerConfigJson(512))) };
}

describe('a synthetic checkpoint', () => {
  test('compiles, and has what a server needs', async () => {
    const folder = join(await temporaryFolder(), 'new', 'tiny');
    const progress: [number, number][] = [];
    const result = await synthesise('tiny', folder, { onProgress: (...bytes) => progress.push(bytes) });
    const { spec, report } = await compileModel(folder);
    expect(report).toMatchObject({ modelType: 'qwen3_moe', files: { count: 1, bytes: result.bytes } });
    expect(spec).toMatchObject({ vocabSize: 264, bosTokenId: 256, eosTokenIds: [258, 256] });
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) expect(existsSync(join(folder, name))).toBe(true);
    expect(progress.at(-1)).toEqual([result.bytes, result.bytes]);
  });

  test('has the same bytes for the same seed, on every machine', async () => {
    expect(await digest()).toBe('44d69f20f046aaabf1393b439e7f157efab9334b74cb18a0006b046bc9a5108b');
    expect(await digest(0)).toBe(await digest());
    expect(await digest(1)).not.toBe(await digest());
  });

  test('is not written over anything', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'mine'), '');
    await expect(synthesise('tiny', folder)).rejects.toThrow(/ is not empty; expected a new folder$/);
    expect(await readdir(folder)).toEqual(['mine']);
    await expect(synthesise('tiny', join(folder, 'mine'))).rejects.toThrow(/mine is a file; expected a folder$/);
    await expect(synthesise('tiny', join(folder, 'mine', 'sub'))).rejects.toThrow(/sub cannot be written: ENOTDIR/);
  });

  test('replaces what a killed run left', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'model.safetensors.partial'), 'half of it');
    await synthesise('tiny', folder);
    expect(await readdir(folder)).not.toContain('model.safetensors.partial');
    expect((await compileModel(folder)).report.modelType).toBe('qwen3_moe');
  });

  test.skipIf(process.platform !== 'linux')('refuses a file system that takes no folders, and returns', async () => {
    await expect(synthesise('tiny', '/proc/conclave/tiny')).rejects.toThrow(/\/proc\/conclave\/tiny cannot be written/);
  });

  test('leaves everything as it was when it is called off', async () => {
    const parent = await temporaryFolder();
    const given = join(parent, 'given');
    await mkdir(given);
    for (const folder of [join(parent, 'new', 'deep'), given]) {
      const interrupt = new AbortController();
      const onProgress = (): void => interrupt.abort(new Error('called off'));
      await expect(synthesise('tiny', folder, { onProgress, signal: interrupt.signal })).rejects.toThrow('called off');
    }
    expect(await readdir(parent)).toEqual(['given']);
    expect(await readdir(given)).toEqual([]);
  });

  test('leaves everything as it was when the disk fills up on the way', async () => {
    const parent = await temporaryFolder();
    const folder = await NewFolder.create(join(parent, 'a', 'b'), 1);
    await folder.file('first', (take) => take(Buffer.from('whole')));
    const full = Object.assign(new Error('write'), { code: 'ENOSPC' });
    const failed = folder.file('second', async (take) => {
      await take(Buffer.from('half'));
      throw full;
    });
    await expect(failed).rejects.toMatchObject({ code: 'NO_SPACE', message: expect.stringContaining('disk is full') });
    await folder.discard();
    expect(await readdir(parent)).toEqual([]);
  });

  test('leaves everything as it was when there is no room', async () => {
    const parent = await temporaryFolder();
    // More than any disk: sizes are compared before a byte is written.
    const rejected = NewFolder.create(join(parent, 'a', 'b'), 2 ** 60);
    await expect(rejected).rejects.toMatchObject({ code: 'NO_SPACE', message: expect.stringContaining('bytes free') });
    expect(await readdir(parent)).toEqual([]);
  });

  test('comes in these shapes', () => {
    expect(shapeNames).toEqual(['tiny', 'moe-1b7', 'latent-1b', 'olmoe-7b', 'qwen3-30b-a3b']);
  });
});

describe('random weights', () => {
  const shape = [512, 1024];
  const elements = 512 * 1024;

  function make(seed: number, name: string, first = 0, count = elements, of: readonly number[] = shape): Uint16Array {
    const out = new Uint16Array(count);
    new WeightGenerator(seed).tensor(name, of)(out, first);
    return out;
  }

  test('can be made in any pieces', () => {
    const whole = make(3, 'a');
    expect(make(3, 'a', 1000, 77)).toEqual(whole.slice(1000, 1077));
  });

  test('depend on seed and name', () => {
    const a = make(0, 'a');
    for (const other of [make(0, 'b'), make(1, 'a')]) {
      // Two independent tensors agree in an element about once in the number of distinct values: thousands.
      const same = a.filter((value, i) => value === other[i]).length;
      expect(same / elements).toBeLessThan(0.01);
    }
  });

  /**
   * n uniform draws: the mean's own deviation is deviation / sqrt(n), the sample deviation's is
   * deviation * sqrt(0.8 / (4 n)) (kurtosis 1.8). Five of these, plus bf16's rounding of each value (2^-9 of it).
   */
  test.each([
    ['model.layers.0.mlp.experts.0.up_proj.weight', [512, 1024], 0, 1 / 32],
    ['model.embed_tokens.weight', [512, 1024], 0, 1],
    ['model.norm.weight', [4096], 1, 0.05],
    ['model.layers.0.self_attn.q_proj.bias', [4096], 0, 0.02],
    ['model.layers.0.mlp.shared_expert_gate.weight', [1, 4096], 0, 1 / 64],
  ])('of %s are spread as they should be', (name, of, mean, deviation) => {
    const count = of.reduce((a, b) => a * b);
    const found = moments(toFloats(make(0, name, 0, count, of)));
    const rounding = 2 ** -9 * (Math.abs(mean) + deviation);
    expect(Math.abs(found.mean - mean)).toBeLessThan((5 * deviation) / Math.sqrt(count) + rounding);
    expect(Math.abs(found.deviation - deviation)).toBeLessThan(5 * deviation * Math.sqrt(0.2 / count) + rounding);
  });

  test('do not follow each other', () => {
    const values = toFloats(make(0, 'a'));
    const { mean, deviation } = moments(values);
    for (const lag of [1, 2, 3, 1024, 65_536]) {
      let sum = 0;
      for (let i = lag; i < elements; i++) sum += (values[i]! - mean) * (values[i - lag]! - mean);
      // The correlation of n independent pairs has deviation 1 / sqrt(n).
      expect(Math.abs(sum / elements / deviation ** 2), `lag ${lag}`).toBeLessThan(5 / Math.sqrt(elements));
    }
  });
});

describe('the layout', () => {
  const tensors = ['a', 'b', 'c', 'd'].map((name) => ({ name, shape: [10, 10] }));

  test('starts a new file where one would grow too large', () => {
    const { files, index } = layOut(tensors, 450);
    expect(files.map(({ path }) => path)).toEqual([
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ]);
    expect(files.map((file) => file.tensors.map(({ name }) => name))).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
    expect(JSON.parse(index!)).toMatchObject({ metadata: { total_size: 800 }, weight_map: { c: files[1]?.path } });
  });

  test('gives a tensor that is too large a file of its own', () => {
    expect(layOut(tensors, 1).files.map((file) => file.tensors.length)).toEqual([1, 1, 1, 1]);
  });

  test('aligns the data to 64 bytes', () => {
    for (const file of layOut(tensors, 450).files) expect(file.header.byteLength % 64).toBe(0);
  });
});

describe('the tokenizer', () => {
  test('encodes any text, and decodes it again', () => {
    const { tokenizer } = readTokenizer(2000);
    const text = 'Ünïcödé 漢字 🙂\n\tand plain "text"';
    const { ids } = tokenizer.encode(text);
    expect(ids).toHaveLength(Buffer.byteLength(text));
    expect(Math.max(...ids)).toBeLessThan(256);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  test('knows the tokens of ChatML', () => {
    const { tokenizer } = readTokenizer(264);
    const template = new Template(JSON.parse(tokenizerConfigJson(512)).chat_template);
    const variables = { messages: [{ role: 'user', content: 'hi' }], add_generation_prompt: true };
    const prompt = template.render(Object.entries(variables).map(([name, value]) => [name, fromJson(value)]));
    expect(prompt).toBe('<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n');
    expect(tokenizer.encode(prompt).ids.filter((id: number) => id >= 256)).toEqual([257, 258, 257]);
  });

  test('has a word for every other id', () => {
    const { json, tokenizer } = readTokenizer(20_000);
    const words = Object.keys(json.model.vocab);
    expect(words).toHaveLength(20_000 - 3);
    expect(tokenizer.decode([259, 260, 19_999])).toMatch(/^ [a-z]{3} [a-z]{3} [a-z]{3,4}$/);
  });
});
