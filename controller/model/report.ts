/** How large a model is, counted from its specification. */
import type { DenseFfnSpec__Output as DenseFfnSpec } from '../../proto/generated/conclave/v1/DenseFfnSpec.ts';
import type { LayerSpec__Output as LayerSpec } from '../../proto/generated/conclave/v1/LayerSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../../proto/generated/conclave/v1/LinearSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../proto/generated/conclave/v1/TensorRef.ts';
import type { ModelSpec } from '../../proto/messages.ts';

/** What a tensor is there for. */
const roles = ['embedding', 'attention', 'router', 'experts', 'sharedExperts', 'denseFfn', 'norms', 'head'] as const;
export type Role = (typeof roles)[number];

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
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
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
  /** Bytes that a token takes in the cache of keys and values, all layers, by the cache's element type. */
  readonly kvBytesPerToken: { readonly f32: number; readonly bf16: number };
  readonly files: { readonly count: number; readonly bytes: number };
}

const elementBytes: Readonly<Partial<Record<TensorRef['dtype'], number>>> = {
  DATA_TYPE_F32: 4,
  DATA_TYPE_F16: 2,
  DATA_TYPE_BF16: 2,
};

/** Counts a compiled model. */
export function reportModel(spec: ModelSpec, modelType: string): ModelReport {
  const byRole = Object.fromEntries(roles.map((role) => [role, { parameters: 0, bytes: 0 }])) as Record<Role, Size>;
  const bytesByType: Record<string, number> = {};
  for (const [role, tensor] of tensorsByRole(spec)) {
    const size = sizeOf([tensor]);
    byRole[role] = add(byRole[role], size);
    const type = tensor.dtype.replace('DATA_TYPE_', '');
    bytesByType[type] = (bytesByType[type] ?? 0) + size.bytes;
  }
  const total = Object.values(byRole).reduce(add);
  const idle = spec.layers.map(idleParameters).reduce((sum, parameters) => sum + parameters, 0);
  const kvElements = spec.layers.reduce((sum, { attention }) => sum + 2 * cacheWidth(attention), 0);
  const attention = spec.layers[0]?.attention;
  return {
    name: spec.name,
    modelType,
    digest: spec.digest,
    hiddenSize: spec.hiddenSize,
    vocabSize: spec.vocabSize,
    maxPosition: spec.maxPosition,
    layers: spec.layers.length,
    heads: attention?.heads ?? 0,
    kvHeads: attention?.kvHeads ?? 0,
    headDim: attention?.headDim ?? 0,
    slidingWindow: reportWindow(spec),
    experts: reportExperts(spec),
    total,
    activeParameters: total.parameters - idle,
    byRole,
    bytesByType,
    kvBytesPerToken: { f32: 4 * kvElements, bf16: 2 * kvElements },
    files: { count: spec.files.length, bytes: spec.files.reduce((sum, file) => sum + file.bytes, 0) },
  };
}

function* tensorsByRole(spec: ModelSpec): Generator<[Role, TensorRef]> {
  if (spec.embedding) yield ['embedding', spec.embedding];
  for (const layer of spec.layers) {
    const { attention, moe } = layer;
    for (const linear of [attention?.q, attention?.k, attention?.v, attention?.o]) {
      for (const tensor of linearTensors(linear)) yield ['attention', tensor];
    }
    for (const norm of [layer.attentionNorm, layer.ffnNorm, attention?.qNorm, attention?.kNorm]) {
      if (norm?.weight) yield ['norms', norm.weight];
    }
    for (const tensor of ffnTensors(layer.dense)) yield ['denseFfn', tensor];
    if (moe?.gate?.weight) yield ['router', moe.gate.weight];
    for (const expert of moe?.experts ?? []) {
      for (const tensor of ffnTensors(expert)) yield ['experts', tensor];
    }
    for (const tensor of ffnTensors(moe?.sharedExpert)) yield ['sharedExperts', tensor];
    if (moe?.sharedExpertGate) yield ['sharedExperts', moe.sharedExpertGate];
  }
  if (spec.finalNorm?.weight) yield ['norms', spec.finalNorm.weight];
  if (spec.head?.weight && spec.head.weight !== spec.embedding) yield ['head', spec.head.weight];
}

function ffnTensors(ffn: DenseFfnSpec | null | undefined): TensorRef[] {
  return [ffn?.gate, ffn?.up, ffn?.down].flatMap(linearTensors);
}

function linearTensors(linear: LinearSpec | null | undefined): TensorRef[] {
  return [linear?.weight, linear?.bias].filter((tensor) => tensor != null);
}

function sizeOf(tensors: readonly TensorRef[]): Size {
  return tensors
    .map(({ shape, dtype }) => {
      const parameters = shape.reduce((product, length) => product * length, 1);
      return { parameters, bytes: parameters * (elementBytes[dtype] ?? 0) };
    })
    .reduce(add, { parameters: 0, bytes: 0 });
}

function add(a: Size, b: Size): Size {
  return { parameters: a.parameters + b.parameters, bytes: a.bytes + b.bytes };
}

/** Parameters of the experts that a token is not sent to; experts of a layer are of equal shape. */
function idleParameters({ moe }: LayerSpec): number {
  if (!moe) return 0;
  const idle = moe.experts.length - (moe.gate?.topK ?? 0);
  return idle * sizeOf(ffnTensors(moe.experts[0])).parameters;
}

function cacheWidth(attention: LayerSpec['attention']): number {
  return attention ? attention.kvHeads * attention.headDim : 0;
}

function reportWindow(spec: ModelSpec): ModelReport['slidingWindow'] {
  const windows = spec.layers.map(({ attention }) => attention?.slidingWindow ?? 0).filter((window) => window > 0);
  return windows.length === 0 ? null : { layers: windows.length, tokens: Math.max(...windows) };
}

function reportExperts(spec: ModelSpec): ExpertReport | null {
  const moes = spec.layers.flatMap(({ moe }) => moe ?? []);
  const [first] = moes;
  if (first === undefined) return null;
  const sizes = moes.flatMap(({ experts }) => experts.map((expert) => sizeOf(ffnTensors(expert))));
  return {
    layers: moes.length,
    perLayer: first.experts.length,
    topK: first.gate?.topK ?? 0,
    each: sizes.reduce((largest, size) => (size.bytes > largest.bytes ? size : largest)),
  };
}
