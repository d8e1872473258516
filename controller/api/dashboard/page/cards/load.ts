import type { Frame } from '../../frame.ts';

/** Load of one layer's experts. */
export interface LayerLoad {
  readonly layer: number;
  /** Rows per second, [experts]. */
  readonly rates: readonly number[];
  /** Of the experts. */
  readonly mean: number;
  /** Busiest worker over the mean. */
  readonly imbalance: number;
}

/** What the bytes of a frame stand for: see frame.ts. `decode`: bytes of base64. */
export function layersOf({ load }: Pick<Frame, 'load'>, decode: (base64: string) => Uint8Array): readonly LayerLoad[] {
  const levels = decode(load.levels);
  let at = 0;
  return load.layers.map((layer, i) => {
    const experts = load.experts[i] ?? 0;
    const rates = Array.from(levels.subarray(at, at + experts), (level) =>
      level === 0 ? 0 : load.busiest * 2 ** ((level - 255) / 16),
    );
    at += experts;
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / Math.max(1, experts);
    return { layer, rates, mean, imbalance: load.imbalance[i] ?? 1 };
  });
}
