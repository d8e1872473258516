import { defineFamily, type OperatorShape } from '../family.ts';
import { attentionOf, blocks, defaults, expertsOf, linears, sharedOf, style } from '../moe/granitemoe.ts';

/** Mamba 2 in most layers, attention in the others, a shared network in all, and experts beside it unless there are none. */
export const granitemoehybrid = defineFamily({
  modelType: 'granitemoehybrid',
  architecture: 'GraniteMoeHybridForCausalLM',
  defaults: {
    ...defaults,
    shared_intermediate_size: 1024,
    position_embedding_type: null,
    layer_types: null,
    mamba_n_heads: 128,
    mamba_n_groups: 1,
    mamba_d_state: 256,
    mamba_d_head: 'auto',
    mamba_d_conv: 4,
    mamba_expand: 2,
    mamba_conv_bias: true,
    mamba_proj_bias: false,
    time_step_limit: null,
  },
  style,
  layer: (config, index) => {
    const attends = config.layer_types?.[index] === 'full_attention';
    const heads = config.mamba_n_heads;
    const size = config.mamba_d_head;
    const mixer: OperatorShape = attends
      ? { ...attentionOf(config), rope: config.position_embedding_type === 'rope' ? 0 : null }
      : {
          kind: 'mamba2',
          path: 'mamba',
          keyHeads: config.mamba_n_groups,
          valueHeads: heads,
          keyDim: config.mamba_d_state,
          valueDim: size === 'auto' ? (config.mamba_expand * config.hidden_size) / heads : size,
          taps: config.mamba_d_conv,
          convolutionBias: config.mamba_conv_bias,
          projectionBias: config.mamba_proj_bias,
          steps: config.time_step_limit ?? [0, Number.MAX_VALUE],
        };
    const experts = config.num_experts > 0 ? [expertsOf(config, linears)] : [];
    return blocks(config, mixer, ...experts, ...sharedOf(config));
  },
});
