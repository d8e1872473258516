/** A method of quantisation, as config.json names it. */
import type { z } from 'zod';
import type { StoredFormat } from '../checkpoint/stored-format.ts';
import { quote } from '../config/problems.ts';

export type Report = (problem: string) => void;

export interface Method {
  /** `quant_method` in config.json. */
  readonly name: string;
  /** The format that a configuration describes; reports what is unknown and returns null. */
  read(config: Readonly<Record<string, unknown>>, report: Report): StoredFormat | null;
}

/** A method whose configuration is what `schema` says; keys that it does not list do not change what weights mean. */
export function defineMethod<Schema extends z.ZodType>(
  name: string,
  schema: Schema,
  format: (config: z.infer<Schema>, report: Report) => StoredFormat | null,
): Method {
  return {
    name,
    read: (config, report) => {
      const parsed = schema.safeParse(config);
      if (parsed.success) return format(parsed.data, report);
      for (const issue of parsed.error.issues) report(explain(issue, config));
      return null;
    },
  };
}

function explain(issue: z.core.$ZodIssue, config: unknown): string {
  const key = ['quantization_config', ...issue.path].join('.');
  const value = issue.path.reduce<unknown>((inner, at) => (inner as Record<PropertyKey, unknown>)?.[at], config);
  const supported = issue.code === 'invalid_value' ? `; supported: ${issue.values.map(quote).join(', ')}` : '';
  return `${key} is ${quote(value ?? null)}${supported === '' ? `: ${issue.message}` : supported}`;
}

/** Formats that store no experts of a layer in one tensor. */
export const noStacks: Pick<StoredFormat, 'stack'> = { stack: () => null };
