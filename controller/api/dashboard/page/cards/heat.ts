/** How hot an expert is, beside the mean expert of its layer: 0 for nothing asked, then 1 (cool) to 6 (four times the mean and more). */
export function heatOf(rate: number, mean: number): number {
  if (!(rate > 0) || !(mean > 0)) return 0;
  const place = heatBounds.findIndex((bound) => rate < bound * mean);
  return place < 0 ? heatBounds.length + 1 : place + 1;
}

/** Upper bounds of the levels 1 to 5, in means of the layer. */
export const heatBounds = [0.5, 0.8, 1.25, 2, 4] as const;

/** What the levels 0 to 6 mean. */
export const heatNames = ['idle', '< ½ ×', '< 0.8 ×', '≈ 1 ×', '< 2 ×', '< 4 ×', '≥ 4 ×'] as const;
