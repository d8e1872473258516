/** Keys of attention over entries that stand for spans of positions, and of several streams of the residual. */
import { z } from 'zod';

const size = z.int().min(1).max(0x7fffffff);

/** The keys of config.json, to be read as config.ts does. */
export const compressedKeys = {
  /** Positions of an entry, by type of layer. */
  compress_rates: z.object({ compressed_sparse_attention: size, heavily_compressed_attention: size }),
  /** Groups of heads whose outputs are reduced together, and to how many elements each. */
  o_groups: size,
  o_lora_rank: size,
  /** Of each layer: whether tokens pick experts, or scores. */
  expert_layer_types: z.array(z.literal(['hash_moe', 'moe'])),
  /** Streams of the residual. */
  hc_mult: z.int().min(2).max(16),
  hc_sinkhorn_iters: z.int().min(1).max(1000),
  hc_eps: z.number().min(0).max(1),
} as const;
