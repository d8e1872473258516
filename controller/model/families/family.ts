/** What a model family is, as data: its tensors' names, and what its configuration means. */
import { type NormStyle, rmsNorm } from '../checkpoint/parts.ts';
import { type ConfigKey, type ModelConfig, readConfig, type SharedKey } from '../config/config.ts';
import type { RopeLayout, RopeVariant } from '../config/rope.ts';
import type { CompressedAttentionShape } from '../operators/compressed-attention.ts';
import type { DenseShape } from '../operators/ffn.ts';
import type { GqaShape } from '../operators/gqa.ts';
import type { LinearAttentionShape } from '../operators/linear-attention.ts';
import type { MlaShape } from '../operators/mla.ts';
import type { MoeShape } from '../operators/moe.ts';
import type { SelectiveScanShape } from '../operators/selective-scan.ts';
import type { ShortConvolutionShape } from '../operators/short-convolution.ts';
import type { StreamsShape } from '../operators/streams.ts';
import type { TokenInputShape } from '../operators/token-input.ts';

/** A parsed config.json. */
export type ConfigFile = Readonly<Record<string, unknown>>;

/** A part of a layer; see OperatorSpec in model.proto. */
export type OperatorShape =
  | GqaShape
  | MlaShape
  | CompressedAttentionShape
  | LinearAttentionShape
  | ShortConvolutionShape
  | SelectiveScanShape
  | TokenInputShape
  | DenseShape
  | MoeShape;

/** What a layer adds to the residual stream at once; see BlockSpec in model.proto. */
export interface BlockShape {
  /** Name of the norm before the operators, below the layer; null: they read the residual stream itself. */
  readonly preNorm: string | null;
  readonly operators: readonly OperatorShape[];
  /** Name of the norm of their sum; absent: none. */
  readonly postNorm?: string;
  /** The result waits for a block that adds it to its own. */
  readonly aside?: true;
  /** Adds what waits. */
  readonly join?: true;
  /** Name of the norm of both. */
  readonly joinNorm?: string;
  /** Multiplies what is added to the residual stream; absent: 1. */
  readonly residualMultiplier?: number;
  /** Where what mixes several streams lies, below the layer. */
  readonly mix?: string;
}

/** What a model has around its layers. */
export interface ModelStyle {
  readonly norm: NormStyle;
  readonly ropeLayout: RopeLayout;
  /** The part of a head's dimensions that rotates, where config.json does not say; null: it may not say either. */
  readonly partialRotary: number | null;
  /** In the order in which attention indexes them. */
  readonly ropes: readonly RopeVariant[];
  readonly embeddingMultiplier: number;
  readonly logitMultiplier: number;
  /** Bounds logits; 0: does not. */
  readonly logitSoftcap: number;
  readonly headBias: boolean;
  /** Name of what multiplies the residual stream after a layer, below the layer; null: nothing does. */
  readonly layerScale: string | null;
  /** Of the residual; null: there is one. */
  readonly streams: StreamsShape | null;
  /** The family's name of a tensor, where files may have another. */
  readonly rename: (name: string) => string;
  /** The number of layer `index` in names of tensors. */
  readonly layerNumber: (index: number) => number;
  /** Whether layer `index` reads what earlier ones left for it. */
  readonly withPrevious: (index: number) => boolean;
  /** Of the tensors around the layers, and of what stands before a layer's number. */
  readonly names: {
    readonly embedding: string;
    readonly layers: string;
    readonly finalNorm: string;
    readonly head: string;
  };
  /** Tensors that only training or drafting uses. */
  readonly unused: (name: string) => boolean;
}

export const plainStyle: ModelStyle = {
  norm: rmsNorm,
  ropeLayout: 'half',
  partialRotary: null,
  ropes: [{ name: 'full_attention', theta: null }],
  embeddingMultiplier: 1,
  logitMultiplier: 1,
  logitSoftcap: 0,
  headBias: false,
  layerScale: null,
  streams: null,
  rename: (name) => name,
  layerNumber: (index) => index,
  withPrevious: () => false,
  names: { embedding: 'model.embed_tokens', layers: 'model.layers', finalNorm: 'model.norm', head: 'lm_head' },
  unused: () => false,
};

/** A family's configuration, read and checked key by key. */
export interface ConfiguredFamily {
  /** config.json with the keys that the families share. */
  readonly file: ConfigFile;
  readonly config: Pick<ModelConfig, SharedKey> & Partial<ModelConfig>;
  readonly style: ModelStyle;
  /** The blocks of layer `index`. */
  layer(index: number): readonly BlockShape[];
}

export interface Family {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** What `architectures` holds; names the family when `model_type` is missing. */
  readonly architecture: string;
  /** Reads a parsed config.json; reports what is wrong and returns null. */
  configure(file: ConfigFile, report: (problem: string) => void): ConfiguredFamily | null;
}

export interface FamilyDefinition<Keys extends ConfigKey> {
  readonly modelType: string;
  readonly architecture: string;
  /** config.json with the shared keys, where the family has others. */
  readonly translate?: (file: ConfigFile) => ConfigFile;
  /** The keys that the family reads, each with its value where config.json leaves it out. */
  readonly defaults: Pick<ModelConfig, Keys> & Pick<ModelConfig, SharedKey>;
  /** Where it differs from plainStyle. */
  style?(config: Pick<ModelConfig, Keys | SharedKey>): Partial<ModelStyle>;
  /** What the family does not support of values that others do; null: nothing. */
  problem?(config: Pick<ModelConfig, Keys | SharedKey>): string | null;
  layer(config: Pick<ModelConfig, Keys | SharedKey>, index: number): readonly BlockShape[];
}

/** A family from its definition. */
export function defineFamily<Keys extends ConfigKey>(definition: FamilyDefinition<Keys>): Family {
  const { modelType, architecture, defaults } = definition;
  return {
    modelType,
    architecture,
    configure: (given, report) => {
      const file = definition.translate?.(given) ?? given;
      const config = readConfig(file, defaults as Pick<ModelConfig, Keys | SharedKey>, report);
      if (config === null) return null;
      const problem = definition.problem?.(config) ?? null;
      if (problem !== null) {
        report(problem);
        return null;
      }
      const style = { ...plainStyle, ...definition.style?.(config) };
      return { file, config, style, layer: (index) => definition.layer(config, index) };
    },
  };
}

/** config.json with keys under the names that other families give them; a key that has its usual name stays. */
export function renameKeys(file: ConfigFile, names: Readonly<Record<string, string>>): ConfigFile {
  const renamed = Object.entries(names).flatMap(([from, to]) => (file[from] === undefined ? [] : [[to, file[from]]]));
  return { ...Object.fromEntries(renamed), ...file };
}

/** The usual layer: attention, then a feed-forward part, each after a norm. */
export function attentionThenFfn(attention: OperatorShape, ...ffn: readonly OperatorShape[]): readonly BlockShape[] {
  return [
    { preNorm: 'input_layernorm', operators: [attention] },
    { preNorm: 'post_attention_layernorm', operators: ffn },
  ];
}

/** A layer whose norms come after attention and the feed-forward part instead of before them. */
export function normedOutputs(attention: OperatorShape, ffn: OperatorShape): readonly BlockShape[] {
  return [
    { preNorm: null, operators: [attention], postNorm: 'post_attention_layernorm' },
    { preNorm: null, operators: [ffn], postNorm: 'post_feedforward_layernorm' },
  ];
}

/** Whether layer `index` is dense, where the first ones are unless a list says otherwise. */
export function isDense(
  config: Pick<ModelConfig, 'mlp_layer_types' | 'first_k_dense_replace'>,
  index: number,
): boolean {
  const types = config.mlp_layer_types;
  return types ? types[index] !== 'sparse' : index < config.first_k_dense_replace;
}

/** Whether a tensor belongs to the layers behind the model's own that predict several tokens ahead. */
export function isPredictionLayer(
  name: string,
  config: Pick<ModelConfig, 'num_hidden_layers' | 'num_nextn_predict_layers'>,
): boolean {
  const index = Number(/^model\.layers\.(\d+)\./.exec(name)?.[1] ?? -1) - config.num_hidden_layers;
  return index >= 0 && index < (config.num_nextn_predict_layers ?? 0);
}

/** Whether layer `index` has experts: every `decoder_sparse_step`-th does, unless `mlp_only_layers` names it. */
export function isSparse(
  config: Pick<ModelConfig, 'num_experts' | 'mlp_only_layers' | 'decoder_sparse_step'>,
  index: number,
): boolean {
  if (config.num_experts === 0 || config.mlp_only_layers?.includes(index)) return false;
  return (index + 1) % config.decoder_sparse_step === 0;
}
