/**
 * What the operator on Kubernetes changes, for the objects that it follows. A change is written without waiting for its plan, and
 * counts that no plan can give now are pending: objects say what should be, not only what can be.
 */
import type { ExpertId__Output as ExpertId } from '../../../proto/generated/conclave/v1/ExpertId.ts';
import {
  asksOf,
  editConstraints,
  noConstraints,
  withDefaultReplicas,
  withDraining,
  withoutDraining,
  withReplicas,
} from '../requests/constraints.ts';
import { copies, expertsText } from '../requests/requests.ts';
import { forgetMissing } from '../roster/missing.ts';
import { refusals } from './change-refusals.ts';
import type { OperatorChangesOptions } from './operator-changes.ts';

/** Replicas that are asked for: of every expert, and of single ones; no expert is named twice. */
export interface AskedReplicas {
  readonly default: number;
  readonly overrides: readonly { readonly replicas: number; readonly experts: readonly ExpertId[] }[];
}

export interface ManagedChanges {
  /** Why a worker could not be drained now; empty: it could. */
  drainRefusals(workerId: string): readonly string[];
  drain(workerId: string, by: string): Promise<void>;
  /** Takes a drain back. */
  undrain(workerId: string, by: string): Promise<void>;
  forget(workerId: string): Promise<void>;
  askReplicas(asked: AskedReplicas, by: string): Promise<void>;
  /** The experts with the most load, busiest first; fewer where no more have any. */
  hottest(count: number): readonly ExpertId[];
}

export function managedChanges(options: OperatorChangesOptions): ManagedChanges {
  const { control, view, load, wallClock } = options;
  const who = (by: string) => ({ by, atMs: wallClock() });
  return {
    drainRefusals: (workerId) => {
      const now = view.constraints?.value ?? noConstraints;
      const asked = { ...who(''), replacedRevision: view.constraints?.revision ?? 0 };
      return refusals(now, withDraining(now, workerId, asked), options);
    },
    drain: async (workerId, by) => {
      await editConstraints(control, who(by), (now, asked) =>
        asksOf(now.draining, workerId) ? null : { what: `drain ${workerId}`, next: withDraining(now, workerId, asked) },
      );
    },
    undrain: async (workerId, by) => {
      await editConstraints(control, who(by), (now) =>
        asksOf(now.draining, workerId)
          ? { what: `cancel the drain of ${workerId}`, next: withoutDraining(now, workerId) }
          : null,
      );
    },
    forget: async (workerId) => {
      await forgetMissing(control, workerId);
    },
    askReplicas: async (wanted, by) => {
      await editConstraints(control, who(by), (now, asked) => ({
        what: `scale replicas to ${replicasText(wanted)}`,
        next: wanted.overrides.reduce(
          (next, { experts, replicas }) => withReplicas(next, experts, replicas, asked),
          withDefaultReplicas(now, wanted.default, asked),
        ),
      }));
    },
    hottest: (count) => load.hottest(count),
  };
}

/** "2 replicas of every expert, 3 of layer 4 expert 17". */
export function replicasText({ default: standard, overrides }: AskedReplicas): string {
  const single = overrides.map(({ experts, replicas }) => `${replicas} of ${expertsText(experts)}`);
  return [`${copies(standard)} of every expert`, ...single].join(', ');
}
