import { z } from 'zod';

export const conditionSchema = z.object({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  observedGeneration: z.number().optional(),
  lastTransitionTime: z.string(),
  reason: z.string(),
  message: z.string(),
});

/** What holds of an object, as Kubernetes writes it. */
export type Condition = z.output<typeof conditionSchema>;

/** What holds, without since when. */
export interface Finding {
  readonly type: string;
  /** Null: unknown. */
  readonly holds: boolean | null;
  /** One word. */
  readonly reason: string;
  /** A sentence. */
  readonly message: string;
}

/** Findings as conditions: one that held before keeps the time since when it does. */
export function conditionsOf(
  findings: readonly Finding[],
  before: readonly Condition[],
  { generation, now }: { readonly generation: number; readonly now: number },
): readonly Condition[] {
  return findings.map(({ type, holds, reason, message }) => {
    const status = holds === null ? 'Unknown' : holds ? 'True' : 'False';
    const same = before.find((condition) => condition.type === type && condition.status === status);
    const lastTransitionTime = same?.lastTransitionTime ?? new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
    return { type, status, observedGeneration: generation, lastTransitionTime, reason, message };
  });
}
