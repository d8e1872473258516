import type { GqaSpec__Output as GqaSpec } from '../../../proto/generated/conclave/v1/GqaSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../../../proto/generated/conclave/v1/OperatorSpec.ts';
import { type Builder, linear, norm } from '../checkpoint/parts.ts';
import type { Dimensions } from '../config/dimensions.ts';
import { noWindow, type Window } from '../config/window.ts';

/** Grouped-query attention as a family has it; sizes are in Dimensions. */
export interface GqaShape {
  readonly kind: 'gqa';
  /** Below the layer, such as "self_attn". */
  readonly path: string;
  /** Biases on the q, k and v projections. */
  readonly qkvBias: boolean;
  /** Bias on the output projection. */
  readonly outputBias: boolean;
  /** Norm of queries and keys before rope. */
  readonly qkNorm: 'none' | 'per-head' | 'full-width';
  readonly window: Window;
  /** q, k and v are clamped to this magnitude; 0: not. */
  readonly clip: number;
}

export const plainAttention: GqaShape = {
  kind: 'gqa',
  path: 'self_attn',
  qkvBias: false,
  outputBias: false,
  qkNorm: 'none',
  window: noWindow,
  clip: 0,
};

const qkNorms = {
  none: 'QK_NORM_UNSPECIFIED',
  'per-head': 'QK_NORM_PER_HEAD',
  'full-width': 'QK_NORM_FULL_WIDTH',
} as const;

export function buildGqa(
  builder: Builder,
  layer: string,
  shape: GqaShape,
  { hidden, heads, kvHeads, headDim }: Dimensions,
): OperatorSpec {
  const path = `${layer}.${shape.path}`;
  const [width, kvWidth] = [heads * headDim, kvHeads * headDim];
  const headNorm = (name: string, fullWidth: number) =>
    shape.qkNorm === 'none'
      ? null
      : norm(builder, `${path}.${name}`, shape.qkNorm === 'per-head' ? headDim : fullWidth);
  const gqa: GqaSpec = {
    heads,
    kvHeads,
    headDim,
    scale: Math.fround(headDim ** -0.5),
    ...shape.window,
    rope: 0,
    q: linear(builder, `${path}.q_proj`, width, hidden, shape.qkvBias),
    k: linear(builder, `${path}.k_proj`, kvWidth, hidden, shape.qkvBias),
    v: linear(builder, `${path}.v_proj`, kvWidth, hidden, shape.qkvBias),
    o: linear(builder, `${path}.o_proj`, hidden, width, shape.outputBias),
    qNorm: headNorm('q_norm', width),
    kNorm: headNorm('k_norm', kvWidth),
    qkNorm: qkNorms[shape.qkNorm],
    clipQkv: Math.fround(shape.clip),
  };
  const paged = { heads: kvHeads, keyWidth: headDim, valueWidth: headDim, valuesInsideKeys: false };
  return { kind: 'gqa', gqa, cache: { kind: 'paged', paged } };
}
