/**
 * How weights are kept and multiplied. f32: exactly what the checkpoint holds, activations in f32. bf16: bf16 weights, a
 * bf16 cache, f32 sums; activations are rounded to bf16 only where the processor multiplies bf16 pairs faster than f32.
 * q8: int8 weights in groups of 32 with f32 scales, made on load; int8 activations. q4: 4-bit weights in groups of 32 with f16
 * scales, those of the checkpoint where it has such, else made on load; int8 activations.
 */
export const weightsFormats = ['f32', 'bf16', 'q8', 'q4'] as const;
export type WeightsFormat = (typeof weightsFormats)[number];
