/** What a model family is, as data: its tensors' names, and what its configuration means. */
import { type ConfigKey, type ModelConfig, readConfig, type SharedKey } from '../config/config.ts';
import type { DenseShape, MoeShape } from '../operators/ffn.ts';
import type { GqaShape } from '../operators/gqa.ts';

/** A part of a layer; see OperatorSpec in model.proto. */
export type OperatorShape = GqaShape | DenseShape | MoeShape;

/** What a layer adds to the residual stream at once; see BlockSpec in model.proto. */
export interface BlockShape {
  /** Name of the norm before the operators, below the layer. */
  readonly preNorm: string;
  readonly operators: readonly OperatorShape[];
}

/** A family's configuration, read and checked key by key. */
export interface ConfiguredFamily {
  readonly config: Pick<ModelConfig, SharedKey> & Partial<ModelConfig>;
  /** The blocks of layer `index`. */
  layer(index: number): readonly BlockShape[];
}

export interface Family {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** What `architectures` holds; names the family when `model_type` is missing. */
  readonly architecture: string;
  /** Reads a parsed config.json; reports what is wrong and returns null. */
  configure(file: Readonly<Record<string, unknown>>, report: (problem: string) => void): ConfiguredFamily | null;
}

export interface FamilyDefinition<Keys extends ConfigKey> {
  readonly modelType: string;
  readonly architecture: string;
  /** The keys that the family reads, each with its value where config.json leaves it out. */
  readonly defaults: Pick<ModelConfig, Keys> & Pick<ModelConfig, SharedKey>;
  layer(config: Pick<ModelConfig, Keys | SharedKey>, index: number): readonly BlockShape[];
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

/** The usual layer: attention, then a feed-forward part, each after a norm. */
export function attentionThenFfn(attention: OperatorShape, ...ffn: readonly OperatorShape[]): readonly BlockShape[] {
  return [
    { preNorm: 'input_layernorm', operators: [attention] },
    { preNorm: 'post_attention_layernorm', operators: ffn },
  ];
}

/** Whether layer `index` has experts: every `decoder_sparse_step`-th does, unless `mlp_only_layers` names it. */
export function isSparse(
  config: Pick<ModelConfig, 'num_experts' | 'mlp_only_layers' | 'decoder_sparse_step'>,
  index: number,
): boolean {
  if (config.num_experts === 0 || config.mlp_only_layers?.includes(index)) return false;
  return (index + 1) % config.decoder_sparse_step === 0;
}
