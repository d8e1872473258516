/** The tensors that parts of a ModelSpec name, and the bytes that they take in the checkpoint. */
import type { FfnSpec__Output as FfnSpec } from '../generated/conclave/v1/FfnSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../generated/conclave/v1/LinearSpec.ts';
import type { MatrixSpec__Output as MatrixSpec } from '../generated/conclave/v1/MatrixSpec.ts';
import type { TensorRef__Output as TensorRef } from '../generated/conclave/v1/TensorRef.ts';

/** In the order of ExpertTable.places. */
const matrixParts = ['data', 'scales', 'zeros', 'groupIndex', 'globalScale'] as const;

const elementBytes: Readonly<Partial<Record<TensorRef['dtype'], number>>> = {
  DATA_TYPE_F32: 4,
  DATA_TYPE_F16: 2,
  DATA_TYPE_BF16: 2,
  DATA_TYPE_I32: 4,
  DATA_TYPE_I8: 1,
  DATA_TYPE_U8: 1,
  DATA_TYPE_F8_E4M3: 1,
  DATA_TYPE_F8_E8M0: 1,
  DATA_TYPE_I64: 8,
};

export function elements(tensor: TensorRef): number {
  return tensor.shape.reduce((product, length) => product * length, 1);
}

/** Bytes in the checkpoint. */
export function checkpointBytes(tensor: TensorRef): number {
  return elements(tensor) * (elementBytes[tensor.dtype] ?? 0);
}

export function matrixTensors(matrix: MatrixSpec | null): TensorRef[] {
  return matrixParts.flatMap((part) => matrix?.[part] ?? []);
}

/** In the order of ExpertTable.places. */
export function ffnTensors(ffn: FfnSpec | null): TensorRef[] {
  return [ffn?.gate, ffn?.up, ffn?.down].flatMap((linear) => [
    ...matrixTensors(linear?.weight ?? null),
    ...(linear?.bias ? [linear.bias] : []),
  ]);
}

/** The same network with other tensors; `change` is called in the order of ffnTensors. */
export function mapFfnTensors(ffn: FfnSpec, change: (tensor: TensorRef) => TensorRef): FfnSpec {
  const linear = (given: LinearSpec | null): LinearSpec | null =>
    given && {
      weight: given.weight && mapMatrix(given.weight, change),
      bias: given.bias && change(given.bias),
      biasStep: given.biasStep,
      biasGroup: given.biasGroup,
    };
  const [gate, up, down] = [linear(ffn.gate), linear(ffn.up), linear(ffn.down)];
  return { ...ffn, gate, up, down };
}

function mapMatrix(matrix: MatrixSpec, change: (tensor: TensorRef) => TensorRef): MatrixSpec {
  const parts = matrixParts.map((part) => {
    const tensor = matrix[part];
    return [part, tensor && change(tensor)] as const;
  });
  return { ...matrix, ...Object.fromEntries(parts) };
}
