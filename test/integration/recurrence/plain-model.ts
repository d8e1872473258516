import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GqaSpec__Output as GqaSpec } from '../../../proto/generated/conclave/v1/GqaSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../../proto/generated/conclave/v1/LinearSpec.ts';
import type { NormSpec__Output as NormSpec } from '../../../proto/generated/conclave/v1/NormSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';
import type { ModelSpec } from '../../../proto/messages.ts';

type Row = readonly number[];

/** What an operator has seen of a sequence. */
interface Seen {
  readonly keys: Row[];
  readonly values: Row[];
  sum: Row;
}

/** A plain reading of model.proto in f64, token by token, for models in bf16 of attention, running sums and dense networks. */
export class PlainModel {
  readonly #spec: ModelSpec;
  readonly #files: readonly Buffer[];
  readonly #decoded = new Map<TensorRef, Float32Array>();

  constructor(directory: string, spec: ModelSpec) {
    this.#spec = spec;
    this.#files = spec.files.map(({ path }) => readFileSync(join(directory, path)));
  }

  /** The likeliest tokens after a prompt. */
  continuation(prompt: readonly number[], count: number): number[] {
    const seen = new Map<OperatorSpec, Seen>();
    const tokens = [...prompt];
    for (let position = 0; tokens.length < prompt.length + count; position++) {
      const logits = this.#step(tokens[position]!, position, seen);
      if (position + 1 === tokens.length) tokens.push(logits.indexOf(Math.max(...logits)));
    }
    return tokens.slice(prompt.length);
  }

  #step(token: number, position: number, seen: Map<OperatorSpec, Seen>): Row {
    const { embedding, hiddenSize, layers, finalNorm, head } = this.#spec;
    let x: Row = [...this.#values(embedding?.data).subarray(token * hiddenSize, (token + 1) * hiddenSize)];
    for (const block of layers.flatMap(({ blocks }) => blocks)) {
      const input = this.#norm(block.preNorm, x);
      for (const operator of block.operators) x = plus(x, this.#operator(operator, input, position, seen));
    }
    return this.#linear(head, this.#norm(finalNorm, x));
  }

  #operator(operator: OperatorSpec, x: Row, position: number, seen: Map<OperatorSpec, Seen>): Row {
    const { gqa, runningSum, dense } = operator;
    const before = seen.get(operator) ?? { keys: [], values: [], sum: [] };
    seen.set(operator, before);
    if (gqa) return this.#attention(gqa, x, position, before);
    if (runningSum) {
      before.sum = plus(this.#linear(runningSum.value, x), before.sum);
      return this.#linear(runningSum.output, before.sum);
    }
    const ffn = dense!.ffn!;
    const up = this.#linear(ffn.up, x);
    const gated = this.#linear(ffn.gate, x).map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!);
    return this.#linear(ffn.down, gated);
  }

  #attention(gqa: GqaSpec, x: Row, position: number, { keys, values }: Seen): Row {
    const { heads, kvHeads, headDim, scale } = gqa;
    const query = this.#rotated(gqa, this.#linear(gqa.q, x), position);
    keys.push(this.#rotated(gqa, this.#linear(gqa.k, x), position));
    values.push(this.#linear(gqa.v, x));
    const attended = Array.from({ length: heads }, (_, head) => {
      const own = query.slice(head * headDim, (head + 1) * headDim);
      const first = Math.floor(head / (heads / kvHeads)) * headDim;
      const scores = keys.map((key) => Math.exp(scale * dot(own, key.slice(first, first + headDim))));
      const total = scores.reduce((sum, score) => sum + score, 0);
      return own.map((_, i) => values.reduce((sum, value, at) => sum + (scores[at]! / total) * value[first + i]!, 0));
    });
    return this.#linear(gqa.o, attended.flat());
  }

  /** Every head rotated; pair i is elements i and i + half. */
  #rotated({ rope = 0, headDim }: GqaSpec, x: Row, position: number): Row {
    const { inverseFrequencies, attentionFactor } = this.#spec.ropes[rope]!;
    const half = inverseFrequencies.length;
    return x.map((value, i) => {
      const at = i % headDim;
      if (at >= 2 * half) return value;
      const angle = position * inverseFrequencies[at % half]!;
      const other = at < half ? -x[i + half]! : x[i - half]!;
      return attentionFactor * (value * Math.cos(angle) + other * Math.sin(angle));
    });
  }

  #linear(linear: LinearSpec | null, x: Row): Row {
    const { weight, bias } = linear!;
    const { data, rows, cols } = weight!;
    const elements = this.#values(data);
    const added = bias === null ? [] : this.#values(bias);
    return Array.from({ length: rows }, (_, row) => {
      let sum = added[row] ?? 0;
      for (let col = 0; col < cols; col++) sum += elements[row * cols + col]! * x[col]!;
      return sum;
    });
  }

  #norm(norm: NormSpec | null, x: Row): Row {
    const weight = this.#values(norm!.weight);
    const root = Math.sqrt(dot(x, x) / x.length + norm!.epsilon);
    return x.map((value, i) => (value / root) * weight[i]!);
  }

  /** All elements, row-major. */
  #values(tensor: TensorRef | null | undefined): Float32Array {
    if (tensor?.dtype !== 'DATA_TYPE_BF16') throw new Error(`expected a tensor in bf16, got ${tensor?.dtype}`);
    const known = this.#decoded.get(tensor);
    if (known !== undefined) return known;
    const file = this.#files[tensor.file]!;
    const bits = Int32Array.from(
      { length: tensor.shape.reduce((product, length) => product * length, 1) },
      (_, i) => file.readUInt16LE(tensor.offset + 2 * i) << 16,
    );
    const values = new Float32Array(bits.buffer);
    this.#decoded.set(tensor, values);
    return values;
  }
}

function dot(a: Row, b: Row): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function plus(a: Row, b: Row): Row {
  return a.map((value, i) => value + (b[i] ?? 0));
}
