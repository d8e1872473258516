import { z } from 'zod';
import { conditionSchema } from './conditions.ts';
import { metadataSchema, optionsSchema, podsSchema, templateSchema } from './objects.ts';

const path = z.string().default('');
const count = z.number().int().min(1);
const pullPolicy = z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent');

const source = z
  .object({
    builtIn: z.literal('clerk').optional(),
    claim: z.object({ name: z.string(), path }).optional(),
    image: z.object({ reference: z.string(), pullPolicy, path }).optional(),
    folder: z.string().startsWith('/').optional(),
  })
  .refine((given) => Object.values(given).filter((value) => value !== undefined).length === 1, {
    error: 'expected exactly one of builtIn, claim, image and folder',
  })
  .default({ builtIn: 'clerk' });

const workers = z.object({
  image: z.string().min(1),
  imagePullPolicy: pullPolicy,
  imagePullSecrets: z.array(z.object({ name: z.string() })).default([]),
  serviceAccountName: z.string().optional(),
  nats: z.object({ urls: z.array(z.string()).optional(), secretName: z.string().optional() }).default({}),
  tls: z.object({ secretName: z.string() }).optional(),
  drainTimeoutSeconds: count.default(60),
  template: templateSchema,
});

const layout = z.object({
  pipelines: count.default(1),
  tensorParallelSize: count.optional(),
  pipelineParallelSize: count.optional(),
  expertTensorParallelSize: count.optional(),
});

const roles = z
  .array(z.enum(['stage', 'expert']))
  .refine((given) => given.includes('stage'), { error: 'expected stage among them' })
  .default(['stage']);

const spec = z.object({
  source,
  weights: z.string().default('auto'),
  contextLength: count.optional(),
  layout: layout.default({ pipelines: 1 }),
  expertReplicas: count.default(1),
  options: optionsSchema,
  workers,
  stages: z.object({ ...podsSchema, roles }).prefault({}),
});

const status = z.looseObject({
  conditions: z.array(conditionSchema).default([]),
  controller: z.string().optional(),
  appliedExpertReplicas: z.string().optional(),
});

/** A MoEModel, as far as the operator reads it; charts/conclave/crds says what everything means. */
export const moeModelSchema = z.object({ metadata: metadataSchema, spec, status: status.prefault({}) });

export type MoEModel = z.output<typeof moeModelSchema>;
