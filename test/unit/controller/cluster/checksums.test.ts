import { copyFile, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expertChecksums } from '../../../../controller/cluster/leader/checksums.ts';
import { compileModel } from '../../../../controller/model/compile.ts';
import type { ModelSpec } from '../../../../proto/messages.ts';
import { expertOf } from '../../../../proto/model/experts.ts';
import { moeOf } from '../../../../proto/model/operators.ts';

const golden = join(import.meta.dirname, '../../../fixtures/golden/mixtral');
let directory: string;
let spec: ModelSpec;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'checksums-'));
  await copyFile(join(golden, 'model.safetensors'), join(directory, 'model.safetensors'));
  ({ spec } = await compileModel(golden));
});

afterAll(() => rm(directory, { recursive: true }));

describe('expertChecksums', () => {
  it('sums gate, up and down of each expert as zlib does', async () => {
    const expert = expertOf(moeOf(spec.layers[1])!.experts!, 2);
    const file = await open(join(directory, 'model.safetensors'));
    let expected = 0;
    for (const linear of [expert.gate, expert.up, expert.down]) {
      const [rows = 0, cols = 0] = linear?.weight?.data?.shape ?? [];
      const { buffer } = await file.read(
        Buffer.alloc(rows * cols * 2),
        0,
        rows * cols * 2,
        linear?.weight?.data?.offset ?? 0,
      );
      expected = crc32(buffer, expected);
    }
    await file.close();
    expect((await expertChecksums(spec, directory, 1, 1))[2]).toBe(expected);
  });

  it('gives one sum per slice and tells a damaged slice from the others', async () => {
    const before = await expertChecksums(spec, directory, 0, 2);
    expect(new Set(before).size).toBe(16);
    const offset = expertOf(moeOf(spec.layers[0])!.experts!, 3).up?.weight?.data?.offset ?? 0;
    const file = await open(join(directory, 'model.safetensors'), 'r+');
    await file.write(Buffer.of(0xff), 0, 1, offset);
    await file.close();
    const after = await expertChecksums(spec, directory, 0, 2);
    expect(after.flatMap((sum, id) => (sum === before[id] ? [] : [id]))).toEqual([6]);
  });
});
