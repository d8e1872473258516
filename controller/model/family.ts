/** What a model family is, as data: its tensors' names, and what its configuration means. */
import { type ConfigKey, type ModelConfig, readConfig, type SharedKey } from './config.ts';

export interface AttentionShape {
  /** Biases on the q, k and v projections. */
  readonly qkvBias: boolean;
  /** Bias on the output projection. */
  readonly outputBias: boolean;
  /** Norm of queries and keys before rope. */
  readonly qkNorm: 'none' | 'per-head' | 'full-width';
  /** Positions that a position sees, itself included; 0: all before it. */
  readonly slidingWindow: number;
  /** q, k and v are clamped to this magnitude; 0: not. */
  readonly clip: number;
}

/** Names of a feed-forward network's three matrices, below its path. */
export interface FfnNames {
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

export interface DenseShape {
  readonly kind: 'dense';
  /** Below the layer, such as "mlp". */
  readonly path: string;
  readonly names: FfnNames;
  readonly intermediate: number;
}

export interface MoeShape {
  readonly kind: 'moe';
  /** Below the layer; the gate is `path.gate`, expert e is `path.experts.e`. */
  readonly path: string;
  readonly names: FfnNames;
  readonly experts: number;
  readonly topK: number;
  readonly intermediate: number;
  /** Whether the weights of the picked experts are divided by their sum. */
  readonly renormalise: boolean;
  /** `path.shared_expert` with a sigmoid gate at `path.shared_expert_gate`; null: none. */
  readonly shared: { readonly intermediate: number } | null;
}

export interface LayerShape {
  readonly attention: AttentionShape;
  readonly ffn: DenseShape | MoeShape;
}

/** A family's configuration, read and checked key by key. */
export interface ConfiguredFamily {
  readonly config: Pick<ModelConfig, SharedKey> & Partial<ModelConfig>;
  /** What layer `index` is. */
  layer(index: number): LayerShape;
}

export interface Family {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** What `architectures` holds; tells the family when `model_type` is missing. */
  readonly architecture: string;
  /** Reads a parsed config.json; reports what is wrong and returns null. */
  configure(file: Readonly<Record<string, unknown>>, report: (problem: string) => void): ConfiguredFamily | null;
}

export interface FamilyDefinition<Keys extends ConfigKey> {
  readonly modelType: string;
  readonly architecture: string;
  /** The keys that the family reads, each with its value where config.json leaves it out. */
  readonly defaults: Pick<ModelConfig, Keys> & Pick<ModelConfig, SharedKey>;
  layer(config: Pick<ModelConfig, Keys | SharedKey>, index: number): LayerShape;
}

/** A family from its definition. */
export function defineFamily<Keys extends ConfigKey>(definition: FamilyDefinition<Keys>): Family {
  const { modelType, architecture, defaults } = definition;
  return {
    modelType,
    architecture,
    configure: (file, report) => {
      const config = readConfig(file, defaults as Pick<ModelConfig, Keys | SharedKey>, report);
      return config && { config, layer: (index) => definition.layer(config, index) };
    },
  };
}

export const plainAttention: AttentionShape = {
  qkvBias: false,
  outputBias: false,
  qkNorm: 'none',
  slidingWindow: 0,
  clip: 0,
};

export const projections: FfnNames = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' };

/** The usual dense feed-forward network at `mlp`. */
export function denseFfn(intermediate: number): DenseShape {
  return { kind: 'dense', path: 'mlp', names: projections, intermediate };
}

/** Whether layer `index` has experts: every `decoder_sparse_step`-th does, unless `mlp_only_layers` names it. */
export function isSparse(
  config: Pick<ModelConfig, 'num_experts' | 'mlp_only_layers' | 'decoder_sparse_step'>,
  index: number,
): boolean {
  if (config.num_experts === 0 || config.mlp_only_layers?.includes(index)) return false;
  return (index + 1) % config.decoder_sparse_step === 0;
}

/** The keys that say which layers have a sliding window. */
export type WindowConfig = Pick<
  ModelConfig,
  'sliding_window' | 'use_sliding_window' | 'max_window_layers' | 'layer_types'
>;

/** The window of layer `index`: as `layer_types` says, else in the layers from `max_window_layers` on. */
export function slidingWindow(config: WindowConfig, index: number): number {
  const window = config.use_sliding_window ? (config.sliding_window ?? 0) : 0;
  const slides = config.layer_types
    ? config.layer_types[index] === 'sliding_attention'
    : index >= config.max_window_layers;
  return slides ? window : 0;
}
