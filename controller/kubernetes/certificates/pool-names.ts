import type { RawObject } from '../api/kube-api.ts';
import { setName } from '../resources/names.ts';

export interface PoolNamesInput {
  /** Names by the Secret of their certificate, as the options give them. */
  readonly certificates: ReadonlyMap<string, readonly string[]>;
  /** MoEModel that is served, and every ExpertPool; as the API server has them. */
  readonly model: RawObject | undefined;
  readonly pools: readonly RawObject[];
  readonly namespace: string;
}

/**
 * The names with those of the model's own workers and of its pools added to the certificate that they use: a pool that somebody
 * makes later is reached under a name that no option could give.
 */
export function withPoolNames({
  certificates,
  model,
  pools,
  namespace,
}: PoolNamesInput): PoolNamesInput['certificates'] {
  const secret = secretOf(model);
  const given = secret === null ? undefined : certificates.get(secret);
  if (model === undefined || secret === null || given === undefined) return certificates;
  const sets = [
    setName('stage', model.metadata.name),
    ...pools
      .filter(({ spec }) => (spec as { readonly model?: unknown } | undefined)?.model === model.metadata.name)
      .map(({ metadata }) => setName('expert', metadata.name)),
  ];
  const names = new Set([...given, ...sets.map((set) => `*.${set}.${namespace}.svc`)]);
  return new Map([...certificates, [secret, [...names]]]);
}

/** The Secret of the workers' certificate; null where they have none. */
function secretOf(model: RawObject | undefined): string | null {
  const spec = model?.['spec'] as
    | { readonly workers?: { readonly tls?: { readonly secretName?: unknown } } }
    | undefined;
  const name = spec?.workers?.tls?.secretName;
  return typeof name === 'string' ? name : null;
}
