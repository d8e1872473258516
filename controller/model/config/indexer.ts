/** Keys of what selects the positions that attention reads. */
import { z } from 'zod';

const size = z.int().min(1).max(0x7fffffff);

/** The keys of config.json, to be read as config.ts does. */
export const indexerKeys = {
  index_n_heads: size,
  index_head_dim: z.int().min(2).max(1024).multipleOf(2),
  /** Positions that are kept. */
  index_topk: size,
  /** Each layer has an indexer of its own. */
  indexer_types: z.array(z.literal('full')).nullable(),
  index_topk_freq: z.literal(1),
  index_topk_pattern: z.union([z.string().regex(/^F*$/), z.array(z.literal('F'))]).nullable(),
  index_block_size: size,
  /** Blocks that are kept. */
  index_topk_blocks: size,
  /** Of them, those up to a position's own. */
  index_local_blocks: z.int().min(0),
} as const;
