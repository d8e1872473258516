import type { ActivationType } from '../../native/native.ts';

/** The sum of two f32 partial sums of the same rows, in `type`. */
export function addPartials(left: Uint8Array, right: Uint8Array, type: ActivationType): Uint8Array {
  if (left.byteLength !== right.byteLength) {
    throw new RangeError(`partial sums of ${left.byteLength} and ${right.byteLength} bytes cannot be added`);
  }
  const a = new Float32Array(aligned(left));
  const b = new Float32Array(aligned(right));
  for (let i = 0; i < a.length; i++) a[i] = a[i]! + b[i]!;
  return type === 'f32' ? new Uint8Array(a.buffer) : toBf16(a);
}

/** Rounds to nearest, ties to even; values stay finite or not as they are. */
function toBf16(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer);
  const result = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    const isNan = (word & 0x7f_ff_ff_ff) > 0x7f_80_00_00;
    result[i] = isNan ? (word >>> 16) | 0x40 : (word + 0x7f_ff + ((word >>> 16) & 1)) >>> 16;
  }
  return new Uint8Array(result.buffer);
}

/** The bytes in a buffer of their own, whose start typed arrays accept. */
function aligned(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.byteLength);
  new Uint8Array(copy).set(bytes);
  return copy;
}
