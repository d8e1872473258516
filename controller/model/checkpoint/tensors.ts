import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';
import { type Problems, quote } from '../config/problems.ts';
import type { Checkpoint } from './checkpoint.ts';
import { plainMatrix, stackOf, type TensorSource, type TensorStack } from './parts.ts';

/** Element types that weights may have, and their names on the wire. */
const dtypes: Readonly<Record<string, TensorRef['dtype']>> = {
  F32: 'DATA_TYPE_F32',
  F16: 'DATA_TYPE_F16',
  BF16: 'DATA_TYPE_BF16',
};

/** A checkpoint's tensors as a model claims them: each must be there with its shape, and none may be left over. */
export class TensorTable implements TensorSource {
  readonly #checkpoint: Checkpoint;
  readonly #problems: Problems;
  readonly #claimed = new Set<string>();

  constructor(checkpoint: Checkpoint, problems: Problems) {
    this.#checkpoint = checkpoint;
    this.#problems = problems;
  }

  matrix(name: string, rows: number, cols: number): MatrixSpec {
    return plainMatrix(rows, cols, this.#claim(name, [rows, cols]));
  }

  vector(name: string, length: number, shape: readonly number[] = [length]): TensorRef {
    return { ...this.#claim(name, shape), shape: [length] };
  }

  stack(name: string, shape: readonly number[]): TensorStack {
    return stackOf(this.#claim(name, shape));
  }

  /** What is wrong with the tensor is reported; the reference returned then cannot be used. */
  #claim(name: string, shape: readonly number[]): TensorRef {
    this.#claimed.add(name);
    const tensor = this.#checkpoint.tensors.get(name);
    if (tensor === undefined) {
      this.#problems.add(`tensor ${quote(name)} is missing; expected shape ${quote(shape)}`);
      return { name, file: 0, offset: 0, dtype: 'DATA_TYPE_UNSPECIFIED', shape: [...shape] };
    }
    const dtype = dtypes[tensor.dtype];
    if (dtype === undefined) {
      this.#problems.add(`tensor ${quote(name)} is ${tensor.dtype}; expected one of ${Object.keys(dtypes).join(', ')}`);
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((length, i) => length !== shape[i])) {
      this.#problems.add(`tensor ${quote(name)} has shape ${quote(tensor.shape)}; expected ${quote(shape)}`);
    }
    const { file, offset } = tensor;
    return { name, file, offset, dtype: dtype ?? 'DATA_TYPE_UNSPECIFIED', shape: [...shape] };
  }

  /** Reports the tensors that nothing claimed, but those that `ignored` accepts. */
  reportUnclaimed(ignored: (name: string) => boolean): void {
    for (const [name, { dtype, shape }] of this.#checkpoint.tensors) {
      if (this.#claimed.has(name) || ignored(name)) continue;
      this.#problems.add(`tensor ${quote(name)} (${dtype}, ${quote(shape)}) is not part of the model`);
    }
  }
}
