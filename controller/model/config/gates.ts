/** Keys of gates on what attention gives, and of how gates pick experts. */
import { z } from 'zod';

/** The keys of config.json, to be read as config.ts does. */
export const gateKeys = {
  /** A gate for each head, or for each element. */
  gating: z.union([z.literal(true), z.literal(['per-head', 'per-element'])]),
  /** 0 and null: logits are not bounded. */
  moe_router_logit_softcapping: z.number().min(0).max(1e30).nullable(),
  moe_apply_router_weight_on_input: z.literal(false),
} as const;
