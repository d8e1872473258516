/** What there is, as far as decisions need it. */

export interface ObservedPod {
  readonly name: string;
  readonly uid: string;
  readonly ordinal: number;
  /** Revision of the template that it was made from. */
  readonly revision: string;
  readonly ready: boolean;
  readonly terminating: boolean;
  /** No node takes it. */
  readonly unschedulable: boolean;
  /** Why it does not run: "ImagePullBackOff: …"; null: nothing is known. */
  readonly problem: string | null;
}

export interface ObservedStatefulSet {
  readonly resourceVersion: string;
  readonly replicas: number;
  /** Digest of what was applied last. */
  readonly applied: string | null;
  /** Who applied it. */
  readonly operator: string | null;
  /** Milliseconds since the epoch since when one pod more is asked for, for the time of an update; null: none is. */
  readonly surgeSince: number | null;
  /** Revision of the newest template; null while the API server's controllers have not seen it. */
  readonly updateRevision: string | null;
}

export interface ObservedSet {
  readonly statefulSet: ObservedStatefulSet | null;
  /** Digests of what was applied last; null: it is not there. */
  readonly service: string | null;
  readonly budget: string | null;
  readonly pods: readonly ObservedPod[];
}

/** The cluster's workers, as plans and heartbeats have them. */
export interface ObservedWorkers {
  /** It is there. */
  readonly present: (worker: string) => boolean;
  /** It is there, and holds something or a plan gives it something. */
  readonly holds: (worker: string) => boolean;
  /** It is gone, and was not expected to go. */
  readonly lost: (worker: string) => boolean;
  /** Who asked that it be drained; null: nobody. */
  readonly drainedBy: (worker: string) => string | null;
  /** Why it could not be drained now; empty: it could. */
  readonly drainRefusals: (worker: string) => readonly string[];
  /** The experts that nobody else holds, in words; null: others hold all that it does. */
  readonly onlyHolderOf: (worker: string) => string | null;
  /** The newest plan is in force everywhere. */
  readonly settled: boolean;
}
