/** A specification must fit into one message of the bus, which takes 1 MB: also that of the largest models. */
import { expect, test } from 'vitest';
import type { Checkpoint, CheckpointTensor } from '../../../../controller/model/checkpoint/checkpoint.ts';
import { deriveDimensions } from '../../../../controller/model/config/dimensions.ts';
import { findFamily } from '../../../../controller/model/families.ts';
import { buildSpec } from '../../../../controller/model/spec.ts';
import { shapeConfig } from '../../../../controller/model/synth/shapes.ts';
import type { TensorRef__Output as TensorRef } from '../../../../proto/generated/conclave/v1/TensorRef.ts';
import { conclave, decode, encode, type ModelSpec } from '../../../../proto/messages.ts';
import { modelWeights } from '../../../../proto/model/weights.ts';

// Kimi-K2: 61 layers, the first of them dense, 384 experts of 2048 in 7168, in fp8 with a scale for each block of 128 x 128.
const config = {
  ...shapeConfig('qwen3-30b-a3b'),
  hidden_size: 7168,
  intermediate_size: 18_432,
  moe_intermediate_size: 2048,
  num_hidden_layers: 61,
  num_attention_heads: 64,
  num_key_value_heads: 64,
  num_experts: 384,
  mlp_only_layers: [0],
  vocab_size: 163_840,
};
const block = 128;

interface Wanted {
  readonly name: string;
  readonly dtype: 'F8_E4M3' | 'F32' | 'BF16';
  readonly shape: readonly number[];
}

const bytesPerElement = { F8_E4M3: 1, F32: 4, BF16: 2 };

/** Where writers put tensors: a file per `perFile` bytes, in each those of wide elements first, then by name. */
function layOut(wanted: readonly Wanted[], perFile: number): Checkpoint {
  const size = ({ dtype, shape }: Wanted) =>
    shape.reduce((product, length) => product * length, bytesPerElement[dtype]);
  const files: Wanted[][] = [[]];
  let filled = 0;
  for (const tensor of wanted) {
    if (filled + size(tensor) > perFile) {
      files.push([]);
      filled = 0;
    }
    files.at(-1)!.push(tensor);
    filled += size(tensor);
  }
  const tensors = new Map<string, CheckpointTensor>();
  files.forEach((inFile, file) => {
    let offset = 8 * 12_345 + file;
    const order = (a: Wanted, b: Wanted) =>
      bytesPerElement[b.dtype] - bytesPerElement[a.dtype] || (a.name < b.name ? -1 : 1);
    for (const tensor of inFile.sort(order)) {
      tensors.set(tensor.name, { ...tensor, file, offset, bytes: size(tensor) });
      offset += size(tensor);
    }
  });
  return {
    files: files.map((_, i) => ({ path: `model-${i + 1}-of-61.safetensors`, bytes: 2 ** 34 })),
    tensors,
    complete: true,
    warnings: [],
  };
}

/** Builds the specification from whatever tensors `place` finds. */
function build(place: (name: string, dtype: Wanted['dtype'], shape: readonly number[]) => TensorRef) {
  const fail = (problem: string) => expect.fail(problem);
  const model = findFamily(config, fail)!.configure(config, fail)!;
  return buildSpec(model, deriveDimensions(model.config, fail)!, {
    vector: (name, length) => place(name, 'BF16', [length]),
    shapeOf: () => null,
    stack: (name) => expect.fail(`stack ${name}`),
    ids: (name) => expect.fail(`ids ${name}`),
    matrix: (name, rows, cols) => ({
      rows,
      cols,
      encoding: 'MATRIX_ENCODING_SCALED',
      data: place(name, 'F8_E4M3', [rows, cols]),
      scales: place(`${name}_scale_inv`, 'F32', [Math.ceil(rows / block), Math.ceil(cols / block)]),
      zeros: null,
      groupIndex: null,
      globalScale: null,
      region: null,
      codes: {
        rows,
        bits: 8,
        blockRows: block,
        blockCols: block,
        zeroOffset: 0,
        divides: false,
        blockType: 'BLOCK_TYPE_UNSPECIFIED',
      },
    }),
  });
}

test.each([
  ['one file for each layer', 1.7e10],
  ['files that cut through layers', 4.9e9],
])('a model of 60 layers of 384 experts in %s takes less than 400 KB', (_, perFile) => {
  const wanted: Wanted[] = [];
  build((name, dtype, shape) => {
    wanted.push({ name, dtype, shape });
    return { name, file: 0, offset: 0, dtype: `DATA_TYPE_${dtype}`, shape: [...shape] };
  });
  expect(wanted.length).toBeGreaterThan(60 * 384 * 3 * 2);
  const { files, tensors } = layOut(wanted, perFile);
  const weights = build((name, dtype, shape) => {
    const { file, offset } = tensors.get(name)!;
    return { name, file, offset, dtype: `DATA_TYPE_${dtype}`, shape: [...shape] };
  });
  const spec = { name: 'kimi-k2', hiddenSize: 7168, vocabSize: 163_840, files: [...files], ...weights };
  const bytes = encode(conclave.ModelSpec, spec);
  expect(bytes.length).toBeLessThan(400_000);

  const read: ModelSpec = decode(conclave.ModelSpec, bytes);
  const isWhereTheFileHasIt = ({ name, file, offset, shape }: TensorRef): boolean => {
    const stored = tensors.get(name);
    return stored?.file === file && stored.offset === offset && stored.shape.join() === shape.join();
  };
  const found = [...modelWeights(read)].flatMap((weight) => weight.tensors);
  expect(new Set(found.map(({ name }) => name)).size).toBe(wanted.length);
  expect(found.filter((tensor) => !isWhereTheFileHasIt(tensor))).toEqual([]);
});
