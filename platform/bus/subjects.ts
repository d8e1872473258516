/** Every bucket, key and subject of the control plane. All live under `conclave.v1.<cluster>`. */
import type { BucketName } from './bus.ts';

export interface BucketSpec {
  readonly name: BucketName;
  /** Milliseconds after its last write at which a key expires; 0: never. */
  readonly ttlMs: number;
  /**
   * Milliseconds that writers get to put their keys back after the bus was away, before watchers are notified that keys which
   * vanished meanwhile (expired, or lost by the server) are gone.
   */
  readonly graceMs: number;
}

/**
 * workers: WorkerAnnouncement by worker id, written every second; a worker whose key expires is lost.
 * reports: WorkerReport by worker id.
 * plans: PlacementPlan under TARGET_PLAN (what workers work towards) and COMMITTED_PLAN (what has been in force everywhere).
 * control: LeaderLease under LEASE, ClusterConstraints under CONSTRAINTS, PlanningState under PLANNING, MissingWorkers under
 * MISSING, the members' secret under MEMBER_KEY, gzip of ServedModel under SERVED_MODEL.
 */
export const buckets: Readonly<Record<BucketName, BucketSpec>> = {
  workers: { name: 'workers', ttlMs: 5_000, graceMs: 5_000 },
  reports: { name: 'reports', ttlMs: 0, graceMs: 5_000 },
  plans: { name: 'plans', ttlMs: 0, graceMs: 0 },
  control: { name: 'control', ttlMs: 0, graceMs: 0 },
};

/** Events that a journal keeps; the oldest go first. */
export const JOURNAL_LENGTH = 500;

export const TARGET_PLAN = 'target';
export const COMMITTED_PLAN = 'committed';
export const LEASE = 'lease';
export const CONSTRAINTS = 'constraints';
export const PLANNING = 'planning';
export const MISSING = 'missing';
export const MEMBER_KEY = 'member-key';
export const SERVED_MODEL = 'model';

/** Name of a bucket on a server that clusters may share. NATS allows letters, digits, "-" and "_". */
export function bucketId(cluster: string, name: BucketName): string {
  return `conclave-v1-${cluster}-${name}`;
}

/** ClusterEvent, from any member. */
export function eventSubject(cluster: string): string {
  return `conclave.v1.${cluster}.events`;
}

/** LoadReport, from each stage worker. */
export function loadSubject(cluster: string, workerId: string): string {
  return `conclave.v1.${cluster}.load.${workerId}`;
}

/** All load reports. */
export function loadSubjects(cluster: string): string {
  return `conclave.v1.${cluster}.load.>`;
}

/** GatewayReport, from each controller. */
export function gatewaySubject(cluster: string, controllerId: string): string {
  return `conclave.v1.${cluster}.gateway.${controllerId}`;
}

/** All gateway reports. */
export function gatewaySubjects(cluster: string): string {
  return `conclave.v1.${cluster}.gateway.>`;
}
