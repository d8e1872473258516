/** The sizes of linear attention and of Mamba 2, and how they fit together. */
import { z } from 'zod';
import { isObject } from './json.ts';

/** The greatest f32: no bound. */
export const unbounded = 3.4028234663852886e38;

const count = z.int().min(1).max(65_536);
const taps = z.int().min(2).max(64);
/** JSON has no infinity: configurations write it as an object. */
const stepLimit = z.preprocess(
  (given) => (isObject(given) && given['__float__'] === 'Infinity' ? Number.MAX_VALUE : given),
  z.number().min(0),
);

/** The keys of config.json, to be read as config.ts does. */
export const linearAttentionKeys = {
  /** Layers that are no multiple of this have linear attention. */
  full_attention_interval: z.int().min(1),
  linear_conv_kernel_dim: taps,
  linear_key_head_dim: count,
  linear_value_head_dim: count,
  linear_num_key_heads: count,
  linear_num_value_heads: count,
  mamba_n_heads: count,
  mamba_n_groups: count,
  mamba_d_state: count,
  /** "auto": what mamba_expand leaves to a head. */
  mamba_d_head: z.union([count, z.literal('auto')]),
  mamba_d_conv: taps,
  mamba_expand: z.int().min(1).max(64),
  mamba_conv_bias: z.boolean(),
  mamba_proj_bias: z.boolean(),
  /** Least and greatest step; null: any. */
  time_step_limit: z.tuple([stepLimit, stepLimit]).nullable(),
} as const;

type Sizes = { readonly [Key in keyof typeof linearAttentionKeys]?: z.infer<(typeof linearAttentionKeys)[Key]> };

/** What contradicts itself among the sizes of a model of this width. */
export function linearAttentionProblems(config: Sizes, hidden: number): readonly string[] {
  const { linear_num_key_heads: keyHeads, linear_num_value_heads: valueHeads } = config;
  if (keyHeads !== undefined && valueHeads !== undefined && valueHeads % keyHeads !== 0) {
    return [
      `linear_num_value_heads is ${valueHeads}; expected a multiple of linear_num_key_heads, which is ${keyHeads}`,
    ];
  }
  const { mamba_n_heads: heads, mamba_n_groups: groups, mamba_d_head: size, mamba_expand: expand } = config;
  if (heads === undefined || groups === undefined || size === undefined || expand === undefined) return [];
  const problems: string[] = [];
  if (heads % groups !== 0) {
    problems.push(`mamba_n_heads is ${heads}; expected a multiple of mamba_n_groups, which is ${groups}`);
  }
  if (
    heads * (size === 'auto' ? 1 : size) !== expand * hidden &&
    (size !== 'auto' || (expand * hidden) % heads !== 0)
  ) {
    problems.push(
      `mamba_n_heads times mamba_d_head is ${heads} times ${size}; expected mamba_expand * hidden_size, which is ${expand * hidden}`,
    );
  }
  return problems;
}
