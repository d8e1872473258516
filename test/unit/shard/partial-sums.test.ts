import { describe, expect, it } from 'vitest';
import { addPartials } from '../../../worker/shard/partial-sums.ts';

function bytes(values: readonly number[], offset: number): Uint8Array {
  const padded = new Uint8Array(offset + values.length * 4);
  padded.set(new Uint8Array(Float32Array.from(values).buffer), offset);
  return padded.subarray(offset);
}

function bf16(sum: Uint8Array): number[] {
  const wide = Uint32Array.from(new Uint16Array(sum.slice().buffer), (half) => half << 16);
  return [...new Float32Array(wide.buffer)];
}

describe('the sum of two partial sums', () => {
  it.each([0, 1, 2, 3])('is exact in f32 whatever byte they start at (%i)', (offset) => {
    const sum = addPartials(bytes([1, -2, 0.5], offset), bytes([2, 2, 0.25], offset), 'f32');
    expect([...new Float32Array(sum.slice().buffer)]).toEqual([3, 0, 0.75]);
  });

  it('rounds to the nearest bf16, ties to even', () => {
    // bf16 keeps 8 bits of the significand: 257 lies halfway between 256 and 258, 259 between 258 and 260.
    expect(bf16(addPartials(bytes([256, 258, 3], 0), bytes([1, 1, 0], 0), 'bf16'))).toEqual([256, 260, 3]);
  });

  it('keeps what is not finite', () => {
    const sum = addPartials(bytes([Number.NaN, Infinity], 0), bytes([1, 1], 0), 'bf16');
    expect(bf16(sum)).toEqual([Number.NaN, Infinity]);
  });

  it('refuses sums of different sizes', () => {
    expect(() => addPartials(bytes([1], 0), bytes([1, 2], 0), 'f32')).toThrow('4 and 8 bytes');
  });
});
