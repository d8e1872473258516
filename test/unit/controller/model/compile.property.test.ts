/** Whatever is in a checkpoint folder, the compiler either compiles it or says what is wrong: no crash, no hang. */
import { readFileSync } from 'node:fs';
import { cp, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import { parseJsonObject } from '../../../../controller/model/config/json.ts';
import { ModelError } from '../../../../controller/model/config/problems.ts';
import {
  goldenConfig,
  goldenNames,
  goldenRoot,
  headerBytes,
  temporaryFolder,
  writeSparse,
} from './checkpoint-folder.ts';

interface Outcome {
  readonly compiled: boolean;
  /** Nothing else may be thrown. */
  readonly error: ModelError | null;
  readonly milliseconds: number;
}

async function outcomeOf(folder: string): Promise<Outcome> {
  const started = performance.now();
  const result = await compileModel(folder).catch((error: unknown) => error);
  const milliseconds = performance.now() - started;
  if (result instanceof ModelError) return { compiled: false, error: result, milliseconds };
  if (result instanceof Error) throw result;
  return { compiled: true, error: null, milliseconds };
}

/** Compiles, or is refused with a reason of bounded length, in bounded time; returns whether it compiled. */
async function survives(folder: string): Promise<boolean> {
  const { compiled, error, milliseconds } = await outcomeOf(folder);
  expect(milliseconds).toBeLessThan(5000);
  expect(compiled || (error?.problems.length ?? 0) > 0).toBe(true);
  expect(error?.message.length ?? 0).toBeLessThan(50_000);
  return compiled;
}

async function goldenCopy(name: string): Promise<string> {
  const folder = await temporaryFolder();
  await cp(join(goldenRoot, name), folder, { recursive: true });
  return folder;
}

function headerLength(file: Buffer): number {
  return 8 + Number(file.readBigUInt64LE());
}

describe('broken safetensors', () => {
  const original = readFileSync(join(goldenRoot, 'qwen3_moe/model.safetensors'));

  test('bytes of the header changed, removed or inserted', async () => {
    const folder = await goldenCopy('qwen3_moe');
    const path = join(folder, 'model.safetensors');
    const position = fc.nat(headerLength(original));
    const edit = fc.record({ position, remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 3 }) });
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
        let bytes: Buffer = original;
        for (const { position, remove, insert } of edits) {
          bytes = Buffer.concat([bytes.subarray(0, position), insert, bytes.subarray(position + remove)]);
        }
        await writeFile(path, bytes);
        if (!(await survives(folder))) refused++;
      }),
      { numRuns: 200 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test('cut anywhere', async () => {
    const folder = await goldenCopy('qwen3_moe');
    const path = join(folder, 'model.safetensors');
    await fc.assert(
      fc.asyncProperty(fc.nat(original.byteLength - 1), async (length) => {
        await writeFile(path, original.subarray(0, length));
        expect(await survives(folder)).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  test('values of the header replaced by any JSON', async () => {
    const folder = await goldenCopy('qwen3_moe');
    const path = join(folder, 'model.safetensors');
    const header = JSON.parse(original.toString('utf8', 8, headerLength(original)));
    const names = Object.keys(header);
    const target = fc.record({
      name: fc.constantFrom(...names),
      key: fc.constantFrom('dtype', 'shape', 'data_offsets', null),
      value: fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.array(fc.maxSafeNat(), { maxLength: 4 })),
    });
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(target, { minLength: 1, maxLength: 3 }), async (targets) => {
        const changed = structuredClone(header);
        for (const { name, key, value } of targets) {
          if (key === null) changed[name] = value;
          else changed[name] = { ...changed[name], [key]: value };
        }
        const start = headerBytes(changed);
        await writeSparse(path, start, start.byteLength + original.byteLength - headerLength(original));
        if (!(await survives(folder))) refused++;
      }),
      { numRuns: 200 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test('any index', async () => {
    const folder = await goldenCopy('qwen3_moe');
    await rename(join(folder, 'model.safetensors'), join(folder, 'a.safetensors'));
    const path = fc.oneof(fc.constantFrom('a.safetensors', '../a.safetensors', 'b.safetensors'), fc.jsonValue());
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), path), async (weight_map) => {
        await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
        expect(await survives(folder)).toBe(false);
      }),
      { numRuns: 100 },
    );
  });
});

describe('broken configurations', () => {
  test.each(goldenNames)('any value at any key of %s', async (name) => {
    const folder = await goldenCopy(name);
    const config = goldenConfig(name);
    const keys = [...Object.keys(config), 'rope_theta', 'rope_scaling', 'layer_types', 'num_experts', 'clip_qkv'];
    const rope = fc.record(
      {
        rope_type: fc.constantFrom('default', 'linear', 'llama3', 'yarn', 'dynamic'),
        rope_theta: fc.double(),
        factor: fc.double(),
        low_freq_factor: fc.double(),
        high_freq_factor: fc.double(),
        original_max_position_embeddings: fc.oneof(fc.integer(), fc.double()),
        beta_fast: fc.double(),
        mscale: fc.double(),
        mscale_all_dim: fc.double(),
      },
      { requiredKeys: [] },
    );
    const value = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.integer(), fc.maxSafeInteger(), fc.double(), rope);
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.constantFrom(...keys), value, { minKeys: 1, maxKeys: 3 }), async (changes) => {
        await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...changes }));
        if (!(await survives(folder))) refused++;
      }),
      { numRuns: 60 },
    );
    expect(refused).toBeGreaterThan(10);
  });

  test('bytes changed in any of the JSON files', async () => {
    const folder = await goldenCopy('llama');
    let refused = 0;
    for (const name of ['config.json', 'generation_config.json']) {
      const original = readFileSync(join(goldenRoot, 'llama', name));
      await fc.assert(
        fc.asyncProperty(fc.nat(original.byteLength - 1), fc.nat(255), async (position, byte) => {
          const changed = Buffer.from(original);
          changed[position] = byte;
          await writeFile(join(folder, name), changed);
          if (!(await survives(folder))) refused++;
        }),
        { numRuns: 100 },
      );
      await writeFile(join(folder, name), original);
    }
    expect(refused).toBeGreaterThan(50);
  });
});

describe('strict JSON', () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }));

  test('reads every object that JSON.parse reads', () => {
    fc.assert(
      fc.property(object, fc.nat(4), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(parseJsonObject(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('refuses every repeated key', () => {
    fc.assert(
      fc.property(object, fc.string(), fc.jsonValue({ maxDepth: 2 }), (value, key, repeated) => {
        const inner = JSON.stringify({ ...value, [key]: 0 }).slice(0, -1);
        const text = `{"outer": [${inner}, ${JSON.stringify(key)}: ${JSON.stringify(repeated)}}]}`;
        expect(() => parseJsonObject(text)).toThrow(/is given twice in one object/);
      }),
    );
  });
});
