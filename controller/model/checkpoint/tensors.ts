import type { MatrixSpec__Output as MatrixSpec } from '../../../proto/generated/conclave/v1/MatrixSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';
import { type Problems, quote } from '../config/problems.ts';
import type { Checkpoint } from './checkpoint.ts';
import { plainMatrix, stackOf, stackOfCodes, type TensorSource, type TensorStack } from './parts.ts';
import type { StoredFormat, TensorFinder } from './stored-format.ts';

/** Element types of tensors, and their names on the wire; others are bytes there. */
const dtypes: Readonly<Record<string, TensorRef['dtype']>> = {
  F32: 'DATA_TYPE_F32',
  F16: 'DATA_TYPE_F16',
  BF16: 'DATA_TYPE_BF16',
  I32: 'DATA_TYPE_I32',
  I64: 'DATA_TYPE_I64',
  I8: 'DATA_TYPE_I8',
  U8: 'DATA_TYPE_U8',
  F8_E4M3: 'DATA_TYPE_F8_E4M3',
  F8_E8M0: 'DATA_TYPE_F8_E8M0',
};

/** Types whose elements are numbers by themselves. */
const floats = ['F32', 'F16', 'BF16'] as const;

/** Of a tensor that is missing or of a wrong type: the problem is reported. */
const unusable = 'DATA_TYPE_UNSPECIFIED';

/** A checkpoint's tensors as a model claims them: each must be there with its shape, and none may be left over. */
export class TensorTable implements TensorSource {
  readonly #checkpoint: Checkpoint;
  readonly #problems: Problems;
  readonly #format: StoredFormat | null;
  readonly #finder: TensorFinder;
  readonly #claimed = new Set<string>();

  /** `format`: how matrices may be stored otherwise than element by element. */
  constructor(checkpoint: Checkpoint, problems: Problems, format: StoredFormat | null = null) {
    this.#checkpoint = checkpoint;
    this.#problems = problems;
    this.#format = format;
    this.#finder = {
      shapeOf: (name) => checkpoint.tensors.get(name)?.shape ?? null,
      typeOf: (name) => checkpoint.tensors.get(name)?.dtype ?? null,
      take: (name, types, shape) => this.#claim(name, shape, types),
      skip: (name) => this.#claimed.add(name),
      report: (problem) => problems.add(problem),
    };
  }

  shapeOf(name: string): readonly number[] | null {
    return this.#checkpoint.tensors.get(name)?.shape ?? null;
  }

  matrix(name: string, rows: number, cols: number): MatrixSpec {
    const coded = this.#format?.matrix(this.#finder, moduleOf(name), rows, cols);
    return coded ?? plainMatrix(rows, cols, this.#claim(name, [rows, cols]));
  }

  vector(name: string, length: number, shape: readonly number[] = [length]): TensorRef {
    return { ...this.#claim(name, shape), shape: [length] };
  }

  ids(name: string, shape: readonly [number, number]): TensorRef {
    return this.#claim(name, shape, ['I32', 'I64']);
  }

  stack(name: string, shape: readonly number[], as = shape): TensorStack {
    const [count, rows, cols] = shape.length === 2 ? [1, ...shape] : shape;
    const coded = this.#format && cols !== undefined && this.#coded(name, [count ?? 0, rows ?? 0, cols]);
    if (!coded) return stackOf({ ...this.#claim(name, shape), shape: [...as] });
    return stackOfCodes(coded, () => {
      throw new RangeError(`${name} holds matrices, no vectors`);
    });
  }

  #coded(name: string, shape: readonly [number, number, number]): readonly MatrixSpec[] | null {
    const [count, rows, cols] = shape;
    const stack = this.#format?.stack(this.#finder, name, shape) ?? null;
    if (stack !== null || count !== 1 || !name.endsWith('.weight')) return stack;
    const single = this.#format?.matrix(this.#finder, moduleOf(name), rows, cols) ?? null;
    return single && [single];
  }

  /** What is wrong with the tensor is reported; the reference returned then cannot be used. */
  #claim(name: string, shape: readonly number[], types: readonly string[] = floats): TensorRef {
    this.#claimed.add(name);
    const tensor = this.#checkpoint.tensors.get(name);
    if (tensor === undefined) {
      this.#problems.add(`tensor ${quote(name)} is missing; expected shape ${quote(shape)}`);
      return { name, file: 0, offset: 0, dtype: unusable, shape: [...shape] };
    }
    const dtype = types.includes(tensor.dtype) ? (dtypes[tensor.dtype] ?? 'DATA_TYPE_U8') : undefined;
    if (dtype === undefined) {
      this.#problems.add(`tensor ${quote(name)} is ${tensor.dtype}; expected one of ${types.join(', ')}`);
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((length, i) => length !== shape[i])) {
      this.#problems.add(`tensor ${quote(name)} has shape ${quote(tensor.shape)}; expected ${quote(shape)}`);
    }
    const { file, offset } = tensor;
    return { name, file, offset, dtype: dtype ?? unusable, shape: [...shape] };
  }

  /** Reports the tensors that nothing claimed, but those that `ignored` accepts. */
  reportUnclaimed(ignored: (name: string) => boolean): void {
    for (const [name, { dtype, shape }] of this.#checkpoint.tensors) {
      if (this.#claimed.has(name) || ignored(name)) continue;
      this.#problems.add(`tensor ${quote(name)} (${dtype}, ${quote(shape)}) is not part of the model`);
    }
  }
}

/** The module whose weight a tensor is. */
function moduleOf(name: string): string {
  return name.replace(/\.weight$/, '');
}
