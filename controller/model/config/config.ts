/**
 * config.json as the families read it. Keys keep the names that the file uses, so that an error points at the line.
 */
import { z } from 'zod';
import { quote } from './problems.ts';
import { windowKeys } from './window.ts';

const size = z.int().min(1).max(0x7fffffff);
const tokenId = z.int().min(0).max(0x7fffffff);

/** Every key that some family reads. */
const keys = {
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  /** Null: as many as query heads. */
  num_key_value_heads: size.nullable(),
  /** Null: hidden_size / num_attention_heads. */
  head_dim: z.int().min(2).max(65_536).multipleOf(2).nullable(),
  hidden_act: z.enum(['silu', 'swish']),
  max_position_embeddings: size,
  rms_norm_eps: z.number().positive().max(1),
  tie_word_embeddings: z.boolean(),
  /** Resolved by rope.ts; here only the default. */
  rope_theta: z.number(),
  bos_token_id: tokenId.nullable(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullable(),
  ...windowKeys,
  /** Null: what the window keys say. */
  layer_types: z.array(z.enum(['full_attention', 'sliding_attention'])).nullable(),
  attention_bias: z.boolean(),
  qkv_bias: z.boolean(),
  mlp_bias: z.literal(false),
  clip_qkv: z.number().positive().max(1e30).nullable(),
  // The engine's gate takes no more (native/include/conclave/base/operator_parameters.h).
  num_experts: z.int().min(0).max(1_024),
  num_experts_per_tok: z.int().min(1).max(32),
  moe_intermediate_size: size,
  shared_expert_intermediate_size: size,
  norm_topk_prob: z.boolean(),
  mlp_only_layers: z.array(z.int().min(0)).nullable(),
  decoder_sparse_step: size,
} as const;

/** config.json with every key that some family reads. */
export type ModelConfig = { readonly [Key in keyof typeof keys]: z.infer<(typeof keys)[Key]> };
export type ConfigKey = keyof ModelConfig;

/** Keys that every family reads. */
export type SharedKey =
  | 'vocab_size'
  | 'hidden_size'
  | 'intermediate_size'
  | 'num_hidden_layers'
  | 'num_attention_heads'
  | 'num_key_value_heads'
  | 'head_dim'
  | 'hidden_act'
  | 'max_position_embeddings'
  | 'rms_norm_eps'
  | 'tie_word_embeddings'
  | 'rope_theta'
  | 'bos_token_id'
  | 'eos_token_id';

/** Other names under which a key is found. */
const aliases: Readonly<Partial<Record<ConfigKey, readonly string[]>>> = {
  num_experts: ['num_local_experts', 'n_routed_experts', 'moe_num_experts'],
  num_experts_per_tok: ['moe_k', 'moe_topk'],
};

/**
 * The keys of `defaults` from a parsed config.json; a key that the file leaves out has its default. Reports what is wrong
 * and returns null.
 */
export function readConfig<Keys extends ConfigKey>(
  file: Readonly<Record<string, unknown>>,
  defaults: Pick<ModelConfig, Keys>,
  report: (problem: string) => void,
): Pick<ModelConfig, Keys> | null {
  let valid = true;
  const values: Record<string, unknown> = {};
  const fail = (problem: string) => {
    valid = false;
    report(problem);
  };
  for (const [key, fallback] of Object.entries(defaults) as [ConfigKey, unknown][]) {
    const names = [key, ...(aliases[key] ?? [])].filter((name) => file[name] !== undefined);
    const [name = key, ...others] = names;
    for (const other of others.filter((other) => quote(file[other]) !== quote(file[name]))) {
      fail(`${name} is ${quote(file[name])}, ${other} is ${quote(file[other])}; they mean the same`);
    }
    // rope.ts checks rope_theta, wherever it stands.
    if (key === 'rope_theta') {
      values[key] = fallback;
      continue;
    }
    const parsed = keys[key].safeParse(names.length === 0 ? fallback : file[name]);
    if (parsed.success) values[key] = parsed.data;
    else
      for (const issue of parsed.error.issues) fail(`${[name, ...issue.path].join('.')} ${explain(issue, file[name])}`);
  }
  if (file['quantization_config'] != null) {
    fail(
      `quantization_config is ${quote(file['quantization_config'])}; supported: unquantised F32, F16 and BF16 weights`,
    );
  }
  return valid ? (values as Pick<ModelConfig, Keys>) : null;
}

function explain(issue: z.core.$ZodIssue, value: unknown): string {
  const at = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)?.[key], value);
  if (issue.code === 'invalid_value') return `is ${quote(at)}; supported: ${issue.values.map(quote).join(', ')}`;
  return `is ${quote(at)}: ${issue.message}`;
}
