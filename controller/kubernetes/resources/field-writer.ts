import type { ManagedField } from './objects.ts';

/** Who wrote `spec.replicas` last, as the API server keeps it; null: it does not say. */
export function replicasWriter(fields: readonly ManagedField[]): string | null {
  const writers = fields
    .filter(({ fieldsV1 }) => 'f:replicas' in part(part(fieldsV1)['f:spec']))
    .sort((a, b) => (b.time ?? '').localeCompare(a.time ?? ''));
  return writers[0]?.manager ?? null;
}

function part(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
