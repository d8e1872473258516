import type { CompressedAttentionSpec__Output as CompressedAttentionSpec } from '../generated/conclave/v1/CompressedAttentionSpec.ts';
import type { DenseSpec__Output as DenseSpec } from '../generated/conclave/v1/DenseSpec.ts';
import type { GqaSpec__Output as GqaSpec } from '../generated/conclave/v1/GqaSpec.ts';
import type { LayerSpec__Output as LayerSpec } from '../generated/conclave/v1/LayerSpec.ts';
import type { MlaSpec__Output as MlaSpec } from '../generated/conclave/v1/MlaSpec.ts';
import type { MoeSpec__Output as MoeSpec } from '../generated/conclave/v1/MoeSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../generated/conclave/v1/OperatorSpec.ts';
import type { ModelSpec } from '../messages.ts';

/** The operators of a layer, in the order in which they run. */
export function operatorsOf(layer: LayerSpec | undefined): readonly OperatorSpec[] {
  return (layer?.blocks ?? []).flatMap(({ operators }) => operators);
}

/** The routed experts of a layer; null for a dense one. A layer has at most one such operator. */
export function moeOf(layer: LayerSpec | undefined): MoeSpec | null {
  return operatorsOf(layer).find(({ moe }) => moe)?.moe ?? null;
}

/** Routed experts of a layer; 0 for a dense one. */
export function expertCount(layer: LayerSpec | undefined): number {
  return moeOf(layer)?.experts?.count ?? 0;
}

/** Elements that rows have as the routed experts of a layer read and give them. */
export function expertWidth({ layers, hiddenSize }: Pick<ModelSpec, 'layers' | 'hiddenSize'>, layer: number): number {
  return moeOf(layers[layer])?.input?.weight?.rows ?? hiddenSize;
}

/** The attention of a layer; null where it has none. */
export function gqaOf(layer: LayerSpec | undefined): GqaSpec | null {
  return operatorsOf(layer).find(({ gqa }) => gqa)?.gqa ?? null;
}

/** The attention over latents of a layer; null where it has none. */
export function mlaOf(layer: LayerSpec | undefined): MlaSpec | null {
  return operatorsOf(layer).find(({ mla }) => mla)?.mla ?? null;
}

/** The attention over entries of a layer; null where it has none. */
export function compressedAttentionOf(layer: LayerSpec | undefined): CompressedAttentionSpec | null {
  return operatorsOf(layer).find(({ compressedAttention }) => compressedAttention)?.compressedAttention ?? null;
}

/** The dense network or the shared expert of a layer; null where it has none. */
export function denseOf(layer: LayerSpec | undefined): DenseSpec | null {
  return operatorsOf(layer).find(({ dense }) => dense)?.dense ?? null;
}
