import { z } from 'zod';
import { conditionSchema } from './conditions.ts';
import { metadataSchema, podsSchema } from './objects.ts';

const copies = z.number().int().min(1).max(1_024);
const index = z.number().int().min(0);

const expertReplicas = z.object({
  default: copies.optional(),
  overrides: z.array(z.object({ layer: index, expert: index, replicas: copies })).default([]),
  hot: z.object({ experts: z.number().int().min(1), replicas: copies }).optional(),
});

const status = z.looseObject({ conditions: z.array(conditionSchema).default([]) });

/** An ExpertPool, as far as the operator reads it; charts/conclave/crds says what everything means. */
export const expertPoolSchema = z.object({
  metadata: metadataSchema,
  spec: z.object({ model: z.string().min(1), ...podsSchema, expertReplicas: expertReplicas.optional() }),
  status: status.prefault({}),
});

export type ExpertPool = z.output<typeof expertPoolSchema>;
