import { unbounded } from '../../config/linear-attention.ts';
import { reluSquared, sharedExpert, ungated } from '../../operators/ffn.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { noauxDefaults, noauxExperts } from '../../operators/noaux.ts';
import { type ConfigFile, defineFamily, type OperatorShape, renameKeys } from '../family.ts';

/** What the letters of a pattern stand for. */
const kinds: Readonly<Record<string, string>> = {
  M: 'linear_attention',
  '*': 'full_attention',
  '-': 'mlp',
  E: 'moe',
};

/** Layers of one part each: Mamba 2, attention without rope, or a network without a gate, with experts or without. */
export const nemotronH = defineFamily({
  modelType: 'nemotron_h',
  architecture: 'NemotronHForCausalLM',
  translate,
  defaults: {
    vocab_size: 131_072,
    hidden_size: 4096,
    intermediate_size: 21_504,
    num_hidden_layers: 52,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: 'silu',
    mlp_hidden_act: 'relu2',
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: 1,
    eos_token_id: 2,
    mlp_bias: false,
    layer_types: null,
    mamba_n_heads: 128,
    mamba_n_groups: 8,
    mamba_d_state: 128,
    mamba_d_head: 64,
    mamba_d_conv: 4,
    mamba_conv_bias: true,
    use_bias: false,
    mamba_hidden_act: 'silu',
    time_step_min: 0.001,
    num_experts: 8,
    num_experts_per_tok: 2,
    moe_intermediate_size: 7688,
    moe_shared_expert_intermediate_size: 7688,
    moe_latent_size: null,
    ...noauxDefaults,
    routed_scaling_factor: 1,
  },
  style: () => ({
    names: {
      embedding: 'backbone.embeddings',
      layers: 'backbone.layers',
      finalNorm: 'backbone.norm_f',
      head: 'lm_head',
    },
  }),
  problem: ({ layer_types: types, mlp_bias: bias }) => {
    if (bias) return 'mlp_bias is true; supported: false';
    return types === null ? 'hybrid_override_pattern and layers_block_type are missing; expected one of them' : null;
  },
  layer: (config, index) => {
    const preNorm = 'norm';
    const operators = operatorsOf(config, config.layer_types?.[index]);
    const [experts, ...besides] = operators;
    if (experts?.kind !== 'moe' || experts.projection === null || besides.length === 0) return [{ preNorm, operators }];
    // What experts of a width of their own read is no row of the others.
    return [
      { preNorm, operators: [experts], aside: true },
      { preNorm, operators: besides, join: true },
    ];
  },
});

interface Sizes {
  readonly intermediate_size: number;
  readonly mamba_n_heads: number;
  readonly mamba_n_groups: number;
  readonly mamba_d_state: number;
  readonly mamba_d_head: number | 'auto';
  readonly mamba_d_conv: number;
  readonly mamba_conv_bias: boolean;
  readonly use_bias: boolean;
  readonly time_step_min: number;
  readonly moe_shared_expert_intermediate_size: number;
  readonly moe_latent_size: number | null;
}

type Experts = Parameters<typeof noauxExperts>[0];

function operatorsOf(
  config: Sizes & Omit<Experts, 'n_shared_experts'>,
  kind: string | undefined,
): readonly OperatorShape[] {
  const path = 'mixer';
  const network = (below: string, width: number) => ({
    ...sharedExpert(below, width, ungated),
    activation: reluSquared,
  });
  if (kind === 'full_attention') return [{ ...plainAttention, path, rope: null }];
  if (kind === 'mlp') return [network(path, config.intermediate_size)];
  if (kind === 'linear_attention') {
    return [
      {
        kind: 'mamba2',
        path,
        keyHeads: config.mamba_n_groups,
        valueHeads: config.mamba_n_heads,
        keyDim: config.mamba_d_state,
        valueDim: config.mamba_d_head === 'auto' ? 1 : config.mamba_d_head,
        taps: config.mamba_d_conv,
        convolutionBias: config.mamba_conv_bias,
        projectionBias: config.use_bias,
        steps: [config.time_step_min, unbounded],
      },
    ];
  }
  const width = config.moe_shared_expert_intermediate_size;
  const routed = noauxExperts({ ...config, n_shared_experts: 0 }, { path, experts: ungated });
  const shared = width > 0 ? [network(`${path}.shared_experts`, width)] : [];
  const { moe_latent_size: latent } = config;
  const projection = latent === null ? null : { width: latent, input: 'fc1_latent_proj', output: 'fc2_latent_proj' };
  return [...routed.map((experts) => ({ ...experts, activation: reluSquared, projection })), ...shared];
}

function translate(given: ConfigFile): ConfigFile {
  const file = renameKeys(given, {
    layer_norm_epsilon: 'rms_norm_eps',
    layers_block_type: 'layer_types',
    mamba_num_heads: 'mamba_n_heads',
    n_groups: 'mamba_n_groups',
    ssm_state_size: 'mamba_d_state',
    mamba_head_dim: 'mamba_d_head',
    conv_kernel: 'mamba_d_conv',
    use_conv_bias: 'mamba_conv_bias',
    mamba_dt_min: 'time_step_min',
  });
  const { hybrid_override_pattern: pattern, layer_types: types, layers_block_type: _, ...others } = file;
  const letters = typeof pattern === 'string' ? pattern.split('') : [];
  const known = letters.length > 0 && letters.every((letter) => Object.hasOwn(kinds, letter));
  const layers = types ?? (known ? letters.map((letter) => kinds[letter]) : pattern);
  return { num_hidden_layers: Array.isArray(layers) ? layers.length : undefined, ...others, layer_types: layers };
}
