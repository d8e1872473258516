/** Formats that weights are kept and multiplied in; see WeightsFormat in native.ts. The native addon has the same names. */
export const weightsFormats = ['f32', 'bf16', 'q8'] as const;
