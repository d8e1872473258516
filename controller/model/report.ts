/** How large a model is, counted from its specification. */
import type { FfnSpec__Output as FfnSpec } from '../../proto/generated/conclave/v1/FfnSpec.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { type CacheType, entryShareBytes, positionBytes, stateBytes, wholeModel } from '../../proto/model/cache.ts';
import { distinctExperts } from '../../proto/model/experts.ts';
import { compressedAttentionOf, gqaOf, mlaOf, moeOf, operatorsOf } from '../../proto/model/operators.ts';
import { checkpointBytes } from '../../proto/model/tensors.ts';
import { ffnWeights, modelWeights, type Role, roles, storedBytes, type Weight } from '../../proto/model/weights.ts';

export interface Size {
  readonly parameters: number;
  /** Bytes in the checkpoint. */
  readonly bytes: number;
}

export interface ExpertReport {
  /** Layers that have experts. */
  readonly layers: number;
  /** Routed experts of a layer. */
  readonly perLayer: number;
  /** Routed experts that a token uses in a layer. */
  readonly topK: number;
  /** One routed expert; the largest where they differ. */
  readonly each: Size;
}

/** What `conclave inspect --output json` prints: keys are added, never renamed or removed. */
export interface ModelReport {
  readonly name: string;
  readonly modelType: string;
  readonly digest: string;
  readonly hiddenSize: number;
  readonly vocabSize: number;
  readonly maxPosition: number;
  readonly layers: number;
  /** Layers by what mixes positions in them, such as "attention" or "linear attention", or "network alone" where nothing does. */
  readonly layerKinds: Readonly<Record<string, number>>;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** What attention over latents caches of a position instead of keys and values; null: nothing. */
  readonly latent: { readonly elements: number; readonly rotary: number } | null;
  /** Layers whose attention reads selected positions only, and how many at most; null: there are none. */
  readonly selection: { readonly layers: number; readonly tokens: number } | null;
  /** Layers with a sliding window, and the widest window, in tokens; null when there is none. */
  readonly slidingWindow: { readonly layers: number; readonly tokens: number } | null;
  /** Null for a dense model. */
  readonly experts: ExpertReport | null;
  /** All weights; a head that is tied to the embedding counts once. */
  readonly total: Size;
  /** Parameters that one token uses: everything but the routed experts that it is not sent to. */
  readonly activeParameters: number;
  readonly byRole: Readonly<Record<Role, Size>>;
  /** Bytes of weights by element type in the checkpoint. */
  readonly bytesByType: Readonly<Record<string, number>>;
  /** The same by the bits of the codes that matrices are stored in; 0: as numbers. */
  readonly bytesByCodeBits: Readonly<Record<string, number>>;
  /** Bytes that a token takes in the cache of keys and values, all layers, by the cache's element type. */
  readonly kvBytesPerToken: { readonly f32: number; readonly bf16: number };
  /** Bytes of the states of fixed size that a sequence keeps, all layers; 0 where all is keys and values. */
  readonly stateBytesPerSequence: number;
  readonly files: { readonly count: number; readonly bytes: number };
}

/** Counts a compiled model. */
export function reportModel(spec: ModelSpec, modelType: string): ModelReport {
  const byRole = Object.fromEntries(roles.map((role) => [role, { parameters: 0, bytes: 0 }])) as Record<Role, Size>;
  const bytesByType: Record<string, number> = {};
  const bytesByCodeBits: Record<string, number> = {};
  for (const weight of modelWeights(spec)) {
    byRole[weight.role] = add(byRole[weight.role], sizeOf(weight));
    const { codeBits } = weight;
    bytesByCodeBits[codeBits] = (bytesByCodeBits[codeBits] ?? 0) + storedBytes(weight);
    for (const tensor of weight.tensors) {
      const type = tensor.dtype.replace('DATA_TYPE_', '');
      bytesByType[type] = (bytesByType[type] ?? 0) + checkpointBytes(tensor);
    }
  }
  const total = Object.values(byRole).reduce(add);
  const attentions = spec.layers.flatMap((layer) => gqaOf(layer) ?? []);
  const [attention] = attentions;
  const mla = spec.layers.flatMap((layer) => mlaOf(layer) ?? [])[0];
  const compressed = spec.layers.flatMap((layer) => compressedAttentionOf(layer) ?? []);
  const whole = wholeModel(spec);
  const cached = (type: CacheType) => positionBytes(spec, type, whole) + Math.ceil(entryShareBytes(spec, type, whole));
  return {
    name: spec.name,
    modelType,
    digest: spec.digest,
    hiddenSize: spec.hiddenSize,
    vocabSize: spec.vocabSize,
    maxPosition: spec.maxPosition,
    layers: spec.layers.length,
    layerKinds: countKinds(spec),
    heads: attention?.heads ?? mla?.heads ?? compressed[0]?.heads ?? 0,
    kvHeads: attention?.kvHeads ?? (mla || compressed.length > 0 ? 1 : 0),
    headDim: attention?.headDim ?? (mla ? mla.plainDim + mla.rotaryDim : (compressed[0]?.headDim ?? 0)),
    latent: mla ? { elements: mla.latentDim, rotary: mla.rotaryDim } : null,
    selection: reportSelection(spec),
    slidingWindow: reportWindow([
      ...attentions.map(({ slidingWindow }) => slidingWindow),
      ...compressed.map(({ window }) => window),
    ]),
    experts: reportExperts(spec),
    total,
    activeParameters: total.parameters - idleParameters(spec),
    byRole,
    bytesByType,
    bytesByCodeBits,
    kvBytesPerToken: { f32: cached('f32'), bf16: cached('bf16') },
    stateBytesPerSequence: stateBytes(spec, whole),
    files: { count: spec.files.length, bytes: spec.files.reduce((sum, file) => sum + file.bytes, 0) },
  };
}

/** What operators that keep something of sequences are called. */
const mixerKinds: Readonly<Record<string, string>> = {
  gqa: 'attention',
  mla: 'latent attention',
  compressedAttention: 'compressed attention',
  linearAttention: 'linear attention',
  shortConvolution: 'short convolution',
  selectiveScan: 'selective scan',
  runningSum: 'running sum',
};

function countKinds(spec: ModelSpec): Readonly<Record<string, number>> {
  const kinds: Record<string, number> = {};
  for (const layer of spec.layers) {
    const kind = operatorsOf(layer).find(({ kind: own }) => own !== undefined && Object.hasOwn(mixerKinds, own))?.kind;
    const name = kind === undefined ? 'network alone' : (mixerKinds[kind] ?? kind);
    kinds[name] = (kinds[name] ?? 0) + 1;
  }
  return kinds;
}

function reportSelection(spec: ModelSpec): ModelReport['selection'] {
  const tokens = spec.layers.flatMap((layer) => {
    const indexer = gqaOf(layer)?.indexer ?? mlaOf(layer)?.indexer;
    const entries = compressedAttentionOf(layer)?.indexer;
    if (indexer) return indexer.kept * indexer.blockSize;
    return entries ? entries.kept * (entries.keys?.span ?? 0) : [];
  });
  return tokens.length === 0 ? null : { layers: tokens.length, tokens: Math.max(...tokens) };
}

function sizeOf(weight: Weight): Size {
  return { parameters: weight.rows * weight.cols, bytes: storedBytes(weight) };
}

function add(a: Size, b: Size): Size {
  return { parameters: a.parameters + b.parameters, bytes: a.bytes + b.bytes };
}

function expertSize(expert: FfnSpec): Size {
  return ffnWeights('experts', 'slot', expert).map(sizeOf).reduce(add, { parameters: 0, bytes: 0 });
}

/** Parameters of the experts that a token is not sent to; experts of a layer are of equal shape. */
function idleParameters(spec: ModelSpec): number {
  return spec.layers.reduce((sum, layer) => {
    const { experts, gate } = moeOf(layer) ?? {};
    if (!experts?.expert) return sum;
    return sum + (experts.count - (gate?.topK ?? 0)) * expertSize(experts.expert).parameters;
  }, 0);
}

/** The report's sliding window in words. */
export function windowText({ slidingWindow: window }: ModelReport): string {
  return window === null ? 'none' : `${window.tokens} tokens in ${window.layers} layers`;
}

function reportWindow(ofLayers: readonly number[]): ModelReport['slidingWindow'] {
  const windows = ofLayers.filter((tokens) => tokens > 0);
  return windows.length === 0 ? null : { layers: windows.length, tokens: Math.max(...windows) };
}

function reportExperts(spec: ModelSpec): ExpertReport | null {
  const moes = spec.layers.flatMap((layer) => moeOf(layer) ?? []);
  const [first] = moes;
  if (!first?.experts) return null;
  const sizes = moes.flatMap(({ experts }) => (experts === null ? [] : distinctExperts(experts).map(expertSize)));
  return {
    layers: moes.length,
    perLayer: first.experts.count,
    topK: first.gate?.topK ?? 0,
    each: sizes.reduce((largest, size) => (size.bytes > largest.bytes ? size : largest)),
  };
}
