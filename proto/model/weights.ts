/** Every weight of a model, in one walk: what there is to report, to place and to load. */
import type { BlockSpec__Output as BlockSpec } from '../generated/conclave/v1/BlockSpec.ts';
import type { CompressedAttentionSpec__Output as CompressedAttentionSpec } from '../generated/conclave/v1/CompressedAttentionSpec.ts';
import type { CompressorSpec__Output as CompressorSpec } from '../generated/conclave/v1/CompressorSpec.ts';
import type { ConvolutionSpec__Output as ConvolutionSpec } from '../generated/conclave/v1/ConvolutionSpec.ts';
import type { DenseSpec__Output as DenseSpec } from '../generated/conclave/v1/DenseSpec.ts';
import type { FfnSpec__Output as FfnSpec } from '../generated/conclave/v1/FfnSpec.ts';
import type { GqaSpec__Output as GqaSpec } from '../generated/conclave/v1/GqaSpec.ts';
import type { IndexerSpec__Output as IndexerSpec } from '../generated/conclave/v1/IndexerSpec.ts';
import type { LayerSpec__Output as LayerSpec } from '../generated/conclave/v1/LayerSpec.ts';
import type { LinearAttentionSpec__Output as LinearAttentionSpec } from '../generated/conclave/v1/LinearAttentionSpec.ts';
import type { LinearSpec__Output as LinearSpec } from '../generated/conclave/v1/LinearSpec.ts';
import type { MatrixSpec__Output as MatrixSpec } from '../generated/conclave/v1/MatrixSpec.ts';
import type { MlaSpec__Output as MlaSpec } from '../generated/conclave/v1/MlaSpec.ts';
import type { MoeSpec__Output as MoeSpec } from '../generated/conclave/v1/MoeSpec.ts';
import type { NormSpec__Output as NormSpec } from '../generated/conclave/v1/NormSpec.ts';
import type { OperatorSpec__Output as OperatorSpec } from '../generated/conclave/v1/OperatorSpec.ts';
import type { SelectiveScanSpec__Output as SelectiveScanSpec } from '../generated/conclave/v1/SelectiveScanSpec.ts';
import type { ShortConvolutionSpec__Output as ShortConvolutionSpec } from '../generated/conclave/v1/ShortConvolutionSpec.ts';
import type { StreamMixSpec__Output as StreamMixSpec } from '../generated/conclave/v1/StreamMixSpec.ts';
import type { TensorRef__Output as TensorRef } from '../generated/conclave/v1/TensorRef.ts';
import type { TokenInputSpec__Output as TokenInputSpec } from '../generated/conclave/v1/TokenInputSpec.ts';
import type { ModelSpec } from '../messages.ts';
import { expertOf } from './experts.ts';
import { checkpointBytes, elements, matrixTensors } from './tensors.ts';

/** What a weight is there for. */
export const roles = [
  'embedding',
  'attention',
  'router',
  'experts',
  'sharedExperts',
  'denseFfn',
  'norms',
  'head',
] as const;
export type Role = (typeof roles)[number];

/** Codes made on load, the checkpoint's own, those with zero points, or 8 bits, as 4 would not do its codes justice. */
export type InQ4 = 'made' | 'codes' | 'codes with zeros' | 'wide';

export interface Weight {
  readonly role: Role;
  /** A row per output; 1 for a vector. */
  readonly rows: number;
  readonly cols: number;
  /** Kept in f32 whatever the weights format: vectors, and gates, whose small differences decide. */
  readonly exact: boolean;
  /** Bits of the codes that stand for its elements; 0: it is stored as numbers. */
  readonly codeBits: number;
  /** How q4 keeps it. */
  readonly inQ4: InQ4;
  /** Who holds it: rank 0 of its stage, every tensor-parallel rank a share or all of it, or a slot of one expert. */
  readonly holder: 'owner' | 'ranks' | 'everyRank' | 'slot';
  /** In the checkpoint; the first one holds the elements. */
  readonly tensors: readonly TensorRef[];
}

/** All weights of a model; a head that is tied to the embedding is not among them. */
export function* modelWeights(spec: ModelSpec): Generator<Weight> {
  yield* matrix('embedding', 'owner', spec.embedding);
  for (const layer of spec.layers) {
    yield* layerWeights(layer);
    for (const block of layer.blocks) {
      yield* blockWeights(block);
      for (const operator of block.operators) {
        yield* operatorWeights(operator, block);
        if (operator.moe) yield* expertWeights(operator.moe);
      }
    }
  }
  yield* headWeights(spec).filter(({ tensors: [tensor] }) => !isSame(tensor, spec.embedding?.data));
}

/** The final norm and the head, and by what they read several streams. */
export function headWeights({ headMix, finalNorm, head }: ModelSpec): Weight[] {
  return [...mix(headMix), ...norm(finalNorm), ...linear('head', 'owner', head)];
}

/** What of a layer no block has. */
export function layerWeights({ scale }: LayerSpec): Weight[] {
  return vector('norms', scale);
}

/** A block's own norms, and what mixes its streams. */
export function blockWeights({ preNorm, postNorm, joinNorm, mix: given }: BlockSpec): Weight[] {
  return [...norm(preNorm), ...norm(postNorm), ...norm(joinNorm), ...mix(given)];
}

function mix(given: StreamMixSpec | null): Weight[] {
  return [
    ...matrix('norms', 'owner', given?.weight ?? null, true),
    ...[given?.base, given?.scale].flatMap((tensor) => vector('norms', tensor ?? null)),
  ];
}

/** The weights of one operator of a block, but for routed experts. */
export function operatorWeights(operator: OperatorSpec, block: BlockSpec): Weight[] {
  const { gqa, mla, linearAttention, shortConvolution, selectiveScan, runningSum, tokenInput, dense, moe } = operator;
  if (gqa) return gqaWeights(gqa);
  if (mla) return mlaWeights(mla);
  if (operator.compressedAttention) return compressedAttentionWeights(operator.compressedAttention);
  if (linearAttention) return linearAttentionWeights(linearAttention);
  if (shortConvolution) return shortConvolutionWeights(shortConvolution);
  if (selectiveScan) return selectiveScanWeights(selectiveScan);
  if (runningSum) {
    return [runningSum.value, runningSum.output].flatMap((given) => linear('attention', 'ranks', given));
  }
  if (tokenInput) return tokenInputWeights(tokenInput);
  if (dense) return denseWeights(dense, isShared(block) ? 'sharedExperts' : 'denseFfn');
  const gate = moe?.gate;
  return [
    ...matrix('router', 'owner', gate?.weight ?? null, true),
    ...vector('router', gate?.bias ?? null),
    ...vector('router', gate?.correction ?? null),
    ...vector('router', gate?.scales ?? null),
    ...vector('router', gate?.table ?? null),
    ...norm(gate?.norm ?? null),
    ...[moe?.input, moe?.output].flatMap((given) => linear('experts', 'owner', given ?? null)),
  ];
}

/** A feed-forward network's matrices and biases. */
export function ffnWeights(role: Role, holder: Weight['holder'], ffn: FfnSpec | null): Weight[] {
  return [ffn?.gate, ffn?.up, ffn?.down].flatMap((given) => linear(role, holder, given ?? null));
}

function gqaWeights(gqa: GqaSpec): Weight[] {
  return [
    ...[gqa.q, gqa.k, gqa.keysAreValues ? null : gqa.v, gqa.o, gqa.outputGate].flatMap((given) =>
      linear('attention', 'ranks', given),
    ),
    ...vector('attention', gqa.sinks),
    ...norm(gqa.qNorm),
    ...norm(gqa.kNorm),
    ...norm(gqa.vNorm),
    ...(gqa.indexer ? indexerWeights(gqa.indexer) : []),
  ];
}

/** Every rank selects positions by itself. */
function indexerWeights({ q, k, qNorm, kNorm, weights }: IndexerSpec): Weight[] {
  return [
    ...linear('attention', weights === null ? 'ranks' : 'everyRank', q),
    ...linear('attention', 'everyRank', k),
    ...matrix('attention', 'everyRank', weights?.weight ?? null, true),
    ...[...norm(qNorm), ...norm(kNorm)].map((weight) => ({ ...weight, holder: 'everyRank' }) as const),
  ];
}

function mlaWeights({ q, qDown, qNorm, latent, latentNorm, expand, o, outputGate, indexer }: MlaSpec): Weight[] {
  const norms = [...norm(qNorm), ...norm(latentNorm)].map((weight) => ({ ...weight, holder: 'everyRank' }) as const);
  return [
    ...[qDown, latent].flatMap((given) => linear('attention', 'everyRank', given)),
    ...[q, o, outputGate].flatMap((given) => linear('attention', 'ranks', given)),
    ...matrix('attention', 'ranks', expand),
    ...norms,
    ...(indexer ? indexerWeights(indexer) : []),
  ];
}

/** Every rank makes all entries, and selects among them, by itself. */
function compressedAttentionWeights(attention: CompressedAttentionSpec): Weight[] {
  const { qDown, key, q, reduce, output, sinks, compressor, indexer } = attention;
  const norms = [attention.qDownNorm, attention.qNorm, attention.keyNorm].flatMap(norm);
  return [
    ...[qDown, key].flatMap((given) => linear('attention', 'everyRank', given)),
    ...[q, reduce, output].flatMap((given) => linear('attention', 'ranks', given)),
    ...vector('attention', sinks),
    ...norms.map((weight) => ({ ...weight, holder: 'everyRank' }) as const),
    ...compressorWeights(compressor),
    ...linear('attention', 'everyRank', indexer?.q ?? null),
    ...matrix('attention', 'everyRank', indexer?.weights?.weight ?? null, true),
    ...compressorWeights(indexer?.keys ?? null),
  ];
}

function compressorWeights(given: CompressorSpec | null): Weight[] {
  return [
    ...[given?.value, given?.gate].flatMap((part) => linear('attention', 'everyRank', part ?? null)),
    ...matrix('attention', 'everyRank', given?.bias ?? null, true),
    ...norm(given?.norm ?? null).map((weight) => ({ ...weight, holder: 'everyRank' }) as const),
  ];
}

function linearAttentionWeights(attention: LinearAttentionSpec): Weight[] {
  const { q, k, v, gate, output, write, decay, stepBias, decayRate, skip, valueHeads } = attention;
  const wide = decay?.weight?.rows !== valueHeads;
  const convolutions = [attention.qConvolution, attention.kConvolution, attention.vConvolution];
  return [
    ...[q, k, v, gate, output, wide ? decay : null].flatMap((given) => linear('attention', 'ranks', given)),
    ...[attention.decayDown, attention.gateDown].flatMap((given) => linear('attention', 'everyRank', given)),
    ...[write, wide ? null : decay].flatMap((given) => [
      ...matrix('attention', 'ranks', given?.weight ?? null, true),
      ...vector('attention', biasOf(given)),
    ]),
    ...convolutions.flatMap(convolutionWeights),
    ...[stepBias, decayRate, skip].flatMap((given) => vector('attention', given)),
    ...norm(attention.norm),
  ];
}

function convolutionWeights(given: ConvolutionSpec | null): Weight[] {
  return [...matrix('attention', 'ranks', given?.taps ?? null, true), ...vector('attention', given?.bias ?? null)];
}

function shortConvolutionWeights({ convolution, ...linears }: ShortConvolutionSpec): Weight[] {
  const { inputGate, outputGate, value, output } = linears;
  return [
    ...[inputGate, outputGate, value, output].flatMap((given) => linear('attention', 'ranks', given)),
    ...convolutionWeights(convolution),
  ];
}

function selectiveScanWeights(scan: SelectiveScanSpec): Weight[] {
  const { value, gate, stepDown, write, read, step, output } = scan;
  return [
    ...[value, gate, stepDown, write, read, step, output].flatMap((given) => linear('attention', 'ranks', given)),
    ...convolutionWeights(scan.convolution),
    ...matrix('attention', 'ranks', scan.decayRate, true),
    ...vector('attention', scan.skip),
    ...[scan.stepNorm, scan.writeNorm, scan.readNorm].flatMap(norm),
  ];
}

function denseWeights({ ffn, outputGate }: DenseSpec, role: Role): Weight[] {
  return [...ffnWeights(role, 'ranks', ffn), ...matrix(role, 'owner', outputGate, true)];
}

function tokenInputWeights({ embedding, projection, norm: own, gate, output }: TokenInputSpec): Weight[] {
  return [
    ...matrix('embedding', 'owner', embedding),
    ...[projection, gate, output].flatMap((given) => linear('embedding', 'owner', given)),
    ...norm(own),
  ];
}

function* expertWeights({ experts }: MoeSpec): Generator<Weight> {
  for (let id = 0; id < (experts?.count ?? 0); id++) yield* ffnWeights('experts', 'slot', expertOf(experts!, id));
}

/** A dense operator beside routed experts is a shared expert. */
function isShared(block: BlockSpec): boolean {
  return block.operators.some(({ kind }) => kind === 'moe');
}

function norm(given: NormSpec | null): Weight[] {
  return [...vector('norms', given?.weight ?? null), ...vector('norms', given?.bias ?? null)];
}

function linear(role: Role, holder: Weight['holder'], given: LinearSpec | null): Weight[] {
  return [
    ...matrix(role, holder, given?.weight ?? null),
    ...vector(role, biasOf(given)).map((bias) => ({ ...bias, holder })),
  ];
}

/** A bias as if its elements were the tensor's only ones. */
function biasOf(given: LinearSpec | null): TensorRef | null {
  return given?.bias ? { ...given.bias, shape: [given.weight?.rows ?? 0] } : null;
}

function matrix(role: Role, holder: Weight['holder'], given: MatrixSpec | null, exact = false): Weight[] {
  if (given === null) return [];
  const { rows, cols, region, data, codes } = given;
  // A part of a stored matrix counts as itself: other weights are the rest of it.
  const own = region === null || codes ? given : { ...given, data: data && { ...data, shape: [rows, cols] } };
  const tensors = matrixTensors(own);
  const share = region !== null && codes ? rows / codes.rows : 1;
  const codeBits = codes?.bits ?? 0;
  const parts = share === 1 ? tensors : tensors.map(shareOf(share));
  return [{ role, holder, exact, codeBits, inQ4: inQ4(given), rows, cols, tensors: parts }];
}

/** As CodedSource::codes in native/src/weights/coded_source.cc says. */
function inQ4({ codes, cols, encoding, groupIndex, zeros }: MatrixSpec): InQ4 {
  if (codes === null) return 'made';
  const { bits, blockCols, blockType } = codes;
  const other = bits < 8 || encoding === 'MATRIX_ENCODING_BLOCKS' ? 'wide' : 'made';
  if (bits !== 4 || groupIndex !== null || !(blockCols % 32 === 0 || blockCols >= cols)) return other;
  switch (blockType) {
    case 'BLOCK_TYPE_UNSPECIFIED':
      return zeros === null ? 'codes' : 'codes with zeros';
    case 'BLOCK_TYPE_Q4_0':
    case 'BLOCK_TYPE_MXFP4':
      return 'codes';
    case 'BLOCK_TYPE_Q4_1':
    case 'BLOCK_TYPE_Q4_K':
      return 'codes with zeros';
    default:
      return other;
  }
}

function shareOf(share: number) {
  return (tensor: TensorRef): TensorRef => ({ ...tensor, shape: [Math.ceil(elements(tensor) * share)] });
}

function vector(role: Role, tensor: TensorRef | null): Weight[] {
  if (tensor === null) return [];
  return [
    {
      role,
      holder: 'owner',
      exact: true,
      codeBits: 0,
      inQ4: 'made',
      rows: 1,
      cols: elements(tensor),
      tensors: [tensor],
    },
  ];
}

function isSame(a: TensorRef | undefined, b: TensorRef | null | undefined): boolean {
  return a !== undefined && b != null && a.file === b.file && a.offset === b.offset;
}

/** Bytes of a weight in the checkpoint, scales and the like included. */
export function storedBytes(weight: Weight): number {
  return weight.tensors.reduce((sum, tensor) => sum + checkpointBytes(tensor), 0);
}
