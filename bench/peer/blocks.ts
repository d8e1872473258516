/** Blocks of 32 elements as ggml has them: a scale in f16, then codes. */

export interface Block {
  /** ggml's number. */
  readonly type: number;
  readonly bytes: number;
  quantise(values: Float32Array): Uint8Array;
}

/** ggml's number of floats. */
export const f32Type = 0;
const elements = 32;

function inBlocks(bytes: number, encode: (x: Float32Array, out: DataView) => void): Block['quantise'] {
  return (values) => {
    const output = new Uint8Array((values.length / elements) * bytes);
    for (let block = 0; block < values.length / elements; block++) {
      const x = values.subarray(block * elements, (block + 1) * elements);
      encode(x, new DataView(output.buffer, block * bytes, bytes));
    }
    return output;
  };
}

function largest(x: Float32Array): number {
  return x.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
}

export const blocks = {
  Q8_0: {
    type: 8,
    bytes: 34,
    quantise: inBlocks(34, (x, out) => {
      const scale = Math.abs(largest(x)) / 127;
      out.setUint16(0, toHalf(scale), true);
      for (let i = 0; i < elements; i++) out.setInt8(2 + i, scale === 0 ? 0 : Math.round((x[i] ?? 0) / scale));
    }),
  },
  Q4_0: {
    type: 2,
    bytes: 18,
    quantise: inBlocks(18, (x, out) => {
      const scale = largest(x) / -8;
      const code = (i: number) => (scale === 0 ? 8 : Math.min(15, Math.trunc((x[i] ?? 0) / scale + 8.5)));
      out.setUint16(0, toHalf(scale), true);
      for (let i = 0; i < elements / 2; i++) out.setUint8(2 + i, code(i) | (code(i + elements / 2) << 4));
    }),
  },
} as const satisfies Readonly<Record<string, Block>>;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** To the nearest f16 of a number that it has room for. */
function toHalf(value: number): number {
  float[0] = value;
  const [word = 0] = bits;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude < 0x38800000) return sign | Math.round(Math.abs(value) * 2 ** 24);
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}
