import { z } from 'zod';

const managedField = z.object({
  manager: z.string().optional(),
  operation: z.string().optional(),
  subresource: z.string().optional(),
  time: z.string().optional(),
  fieldsV1: z.unknown().optional(),
});

/** Who wrote which fields, as the API server keeps it. */
export type ManagedField = z.output<typeof managedField>;

export const metadataSchema = z.object({
  name: z.string(),
  namespace: z.string(),
  uid: z.string(),
  resourceVersion: z.string(),
  generation: z.number().default(0),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  labels: z.record(z.string(), z.string()).default({}),
  annotations: z.record(z.string(), z.string()).default({}),
  finalizers: z.array(z.string()).default([]),
  managedFields: z.array(managedField).default([]),
});

/** Part of a pod template that users give. */
const template = z.object({
  metadata: z
    .object({
      labels: z.record(z.string(), z.string()).optional(),
      annotations: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
  spec: z.record(z.string(), z.unknown()).optional(),
});

export type TemplatePart = z.output<typeof template>;

const quantityValue = z.union([z.string(), z.number()]);

const resources = z.object({
  limits: z.record(z.string(), quantityValue).optional(),
  requests: z.record(z.string(), quantityValue).optional(),
});

export type Resources = z.output<typeof resources>;

/** Flags by name, without their dashes. */
export const optionsSchema = z.record(z.string(), z.string()).default({});

export const templateSchema = template.default({});

/** What stages and pools say of their pods alike. */
export const podsSchema = {
  replicas: z.number().int().min(0).default(1),
  gpus: z.number().int().min(0).default(0),
  memory: quantityValue.optional(),
  resources: resources.default({}),
  options: optionsSchema,
  template: templateSchema,
};

/** An object of Kubernetes as it is applied. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly OwnerReference[];
    readonly resourceVersion?: string;
  };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: true;
  readonly blockOwnerDeletion: true;
}
