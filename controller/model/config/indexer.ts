/** Keys of what selects the positions that attention reads. */
import { z } from 'zod';

const size = z.int().min(1).max(0x7fffffff);

/** The keys of config.json, to be read as config.ts does. */
export const indexerKeys = {
  index_n_heads: size,
  index_head_dim: z.int().min(2).max(1024).multipleOf(2),
  /** Positions that are kept. */
  index_topk: size,
  /** A layer has an indexer of its own, or reads what the last one before it selected. */
  indexer_types: z.array(z.enum(['full', 'shared'])).nullable(),
  /** The same in letters, where that is null. */
  index_topk_pattern: z.preprocess(
    (given) => (typeof given === 'string' ? given.split('') : given),
    z.array(z.enum(['F', 'S'])).nullable(),
  ),
  /** Where both are null: every so many layers there is an indexer, from one less than this on. */
  index_topk_freq: size,
  index_skip_topk_offset: z.int().min(0),
  index_block_size: size,
  /** Blocks that are kept. */
  index_topk_blocks: size,
  /** Of them, those up to a position's own. */
  index_local_blocks: z.int().min(0),
} as const;
