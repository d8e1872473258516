import type { AskedReplicas } from '../../cluster/control/managed-changes.ts';
import { digest } from '../desired/digest.ts';
import type { ExpertPool } from '../resources/expert-pool.ts';
import type { MoEModel } from '../resources/moe-model.ts';

interface ExpertId {
  readonly layer: number;
  readonly expert: number;
}

export interface WantedReplicas {
  /** Null: nothing is to be asked now. */
  readonly ask: AskedReplicas | null;
  /** Names what the objects say; kept in the model's status once it is asked for. */
  readonly digest: string;
  /** By pool: what of it is not asked for, and why. */
  readonly problems: ReadonlyMap<string, string>;
  /** Why it cannot be asked for yet; null: it can. */
  readonly waiting: string | null;
}

export interface ReplicasInput {
  readonly model: MoEModel;
  readonly pools: readonly ExpertPool[];
  /** Replicas of every expert that the controllers' flags say. */
  readonly flag: number;
  /** Experts of a layer; 0 where it has none. */
  readonly expertsOf: (layer: number) => number;
  /** Experts with the most load, busiest first. */
  readonly hottest: (count: number) => readonly ExpertId[];
}

/**
 * What a model and its pools together ask of the planner. It is asked when it has changed: counts that somebody asked for otherwise
 * since, with `conclave scale`, stand until then. Where two pools differ, the one whose name comes first counts.
 */
export function wantedReplicas({ model, pools, flag, expertsOf, hottest }: ReplicasInput): WantedReplicas {
  const problems = new Map<string, string>();
  const overrides = new Map<string, { readonly id: ExpertId; readonly replicas: number; readonly pool: string }>();
  let everyone: { readonly value: number; readonly pool: string } | null = null;
  let hot: { readonly experts: number; readonly replicas: number; readonly pool: string } | null = null;
  for (const { metadata, spec } of [...pools].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    const pool = metadata.name;
    const given = spec.expertReplicas;
    if (given?.default !== undefined) {
      if (everyone === null) everyone = { value: given.default, pool };
      else if (everyone.value !== given.default) problems.set(pool, differs('default', given.default, everyone.pool));
    }
    if (given?.hot !== undefined) {
      if (hot === null) hot = { ...given.hot, pool };
      else problems.set(pool, `spec.expertReplicas.hot: ExpertPool ${hot.pool} has it already`);
    }
    for (const { replicas, ...id } of given?.overrides ?? []) {
      const before = overrides.get(key(id));
      if (id.expert >= expertsOf(id.layer)) problems.set(pool, noSuchExpert(id, expertsOf(id.layer)));
      else if (before === undefined) overrides.set(key(id), { id, replicas, pool });
      else if (before.replicas !== replicas) {
        problems.set(pool, differs(`overrides of layer ${id.layer} expert ${id.expert}`, replicas, before.pool));
      }
    }
  }
  const standard = everyone?.value ?? model.spec.expertReplicas;
  const single = [...overrides.values()].map(({ id, replicas }) => ({ replicas, experts: [id] }));
  const name = digest([standard, single, hot === null ? null : [hot.experts, hot.replicas]]);
  if (name === model.status.appliedExpertReplicas) return { ask: null, digest: name, problems, waiting: null };
  const busiest = hot === null ? [] : hottest(hot.experts);
  if (hot !== null && busiest.length === 0) {
    return {
      ask: null,
      digest: name,
      problems,
      waiting: 'no load was measured yet: nobody knows which experts are hot',
    };
  }
  const hotOnes = busiest.filter((id) => !overrides.has(key(id)));
  const asked: AskedReplicas = {
    default: standard,
    overrides:
      hot === null || hotOnes.length === 0 ? single : [...single, { replicas: hot.replicas, experts: hotOnes }],
  };
  const flagSaysSo = standard === flag && asked.overrides.length === 0;
  const fresh = model.status.appliedExpertReplicas === undefined;
  return { ask: fresh && flagSaysSo ? null : asked, digest: name, problems, waiting: null };
}

function differs(what: string, value: number, other: string): string {
  return `spec.expertReplicas.${what}: ${value}, but ExpertPool ${other} says otherwise and comes first`;
}

function noSuchExpert({ layer, expert }: ExpertId, experts: number): string {
  const there = experts === 0 ? 'no experts' : `experts 0 to ${experts - 1}`;
  return `spec.expertReplicas.overrides: layer ${layer} has ${there}, got expert ${expert}`;
}

function key({ layer, expert }: ExpertId): string {
  return `${layer}/${expert}`;
}
