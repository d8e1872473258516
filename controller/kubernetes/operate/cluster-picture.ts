/** The cluster as the operator's decisions need it: of what status, plans and reports say. */
import type { ClusterView } from '../../../platform/membership/cluster-view.ts';
import type { GetStatusResponse } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { WorkerStatus } from '../../../proto/generated/conclave/v1/WorkerStatus.ts';
import type { ManagedChanges } from '../../cluster/control/managed-changes.ts';
import { expertsText, heldReplicas } from '../../cluster/requests/requests.ts';
import type { ModelLoad } from '../reconcile/model-status.ts';
import type { ObservedWorkers } from '../reconcile/observed.ts';
import type { PoolLoad } from '../reconcile/pool-status.ts';

/** What the operator sees of the cluster that its controller belongs to. */
export interface ClusterSight {
  readonly view: Pick<ClusterView, 'workers' | 'reports' | 'target' | 'committed' | 'constraints'>;
  status(): GetStatusResponse;
  obstacles(): readonly string[];
  managed(): Pick<ManagedChanges, 'drainRefusals'>;
}

export interface ClusterPicture {
  readonly status: GetStatusResponse;
  readonly workers: ObservedWorkers;
  readonly model: ModelLoad;
  /** Of the pool with these workers. */
  pool(isOf: (worker: string) => boolean): PoolLoad;
  /** Workers that somebody by this name asked to be drained. */
  drainedBy(by: string): readonly string[];
}

const HOTTEST = 8;

export function clusterPicture(cluster: ClusterSight): ClusterPicture {
  const { view } = cluster;
  const status = cluster.status();
  const workers = status.workers ?? [];
  const draining = view.constraints?.value.draining ?? [];
  const askedBy = new Map(draining.map(({ workerId, asked }) => [workerId, asked?.by ?? '']));
  return {
    status,
    workers: observedWorkers(cluster, workers, askedBy, status),
    model: modelLoad(cluster, status),
    pool: (isOf) => {
      const own = workers.filter(({ id }) => isOf(id ?? ''));
      return poolLoad(own, status);
    },
    drainedBy: (by) => [...askedBy].filter(([, asked]) => asked === by).map(([worker]) => worker),
  };
}

function observedWorkers(
  cluster: ClusterSight,
  workers: readonly WorkerStatus[],
  askedBy: ReadonlyMap<string, string>,
  { rollout }: GetStatusResponse,
): ObservedWorkers {
  const { view } = cluster;
  const planned = new Set([view.target, view.committed].flatMap((plan) => plan?.workers.map(({ id }) => id) ?? []));
  const states = new Map(workers.map(({ id, state }) => [id, state]));
  const changes = cluster.managed();
  const present = (worker: string) => view.workers.has(worker) && states.get(worker) !== 'WORKER_STATE_LOST';
  const reported = (worker: string) => (view.reports.get(worker)?.held.length ?? 0) > 0;
  return {
    present,
    holds: (worker) => present(worker) && (planned.has(worker) || reported(worker)),
    lost: (worker) => states.get(worker) === 'WORKER_STATE_LOST',
    drainedBy: (worker) => askedBy.get(worker) ?? null,
    drainRefusals: (worker) => changes.drainRefusals(worker),
    onlyHolderOf: (worker) => onlyHolderOf(view, worker),
    settled: rollout?.phase === 'ROLLOUT_PHASE_COMPLETE' || rollout?.phase === 'ROLLOUT_PHASE_ROLLED_BACK',
  };
}

/** The experts that no other worker says that it holds, in words. */
function onlyHolderOf(view: Pick<ClusterView, 'workers' | 'reports'>, worker: string): string | null {
  const others = new Map([...view.reports].filter(([id]) => id !== worker));
  const [all, without] = [heldReplicas(view), heldReplicas({ workers: view.workers, reports: others })];
  const experts = [...all].flatMap(([layer, counts]) =>
    counts.flatMap((count, expert) =>
      count > 0 && (without.get(layer)?.[expert] ?? 0) === 0 ? [{ layer, expert }] : [],
    ),
  );
  return experts.length === 0 ? null : expertsText(experts);
}

const phases = {
  ROLLOUT_PHASE_UNSPECIFIED: 'None',
  ROLLOUT_PHASE_LOADING: 'Loading',
  ROLLOUT_PHASE_COMPLETE: 'Complete',
  ROLLOUT_PHASE_ROLLED_BACK: 'RolledBack',
} as const;

function modelLoad(cluster: ClusterSight, status: GetStatusResponse): ModelLoad {
  const { rollout, plan, workers = [] } = status;
  const phase = typeof rollout?.phase === 'string' ? phases[rollout.phase] : 'None';
  const pipelines = cluster.view.committed?.pipelines ?? [];
  return {
    model: status.model ?? '',
    controller: status.leader ?? '',
    planEpoch: Number(plan?.epoch ?? 0),
    rollout: {
      phase,
      epoch: Number(rollout?.epoch ?? 0),
      loadedBytes: Number(rollout?.loadedBytes ?? 0),
      totalBytes: Number(rollout?.totalBytes ?? 0),
      error: rollout?.error ?? '',
    },
    pipelines: {
      planned: pipelines.length,
      ready: pipelines.filter(({ id }) => pipelineReady(cluster.view, id)).length,
    },
    tokensPerSecond: Number(status.tokensPerSecond ?? 0),
    running: status.running ?? 0,
    waiting: status.waiting ?? 0,
    drained: drainedOf(workers.filter(({ roles }) => roles?.includes('stage'))),
    obstacles: cluster.obstacles(),
  };
}

/** Whether every rank of a pipeline is there and says that it is ready. */
function pipelineReady({ committed, workers, reports }: ClusterSight['view'], id: string): boolean {
  const pipeline = committed?.pipelines.find((other) => other.id === id);
  const ranks = pipeline?.stages.flatMap((stage) => stage.ranks) ?? [];
  return ranks.every(({ worker: index }) => {
    const worker = workers.get(committed?.workers[index]?.id ?? '');
    const report = reports.get(worker?.id ?? '');
    return report !== undefined && report.startedAtMs === worker?.startedAtMs && report.readyPipelines.includes(id);
  });
}

function poolLoad(workers: readonly WorkerStatus[], { load = [] }: GetStatusResponse): PoolLoad {
  const rows = workers.map(({ rowsPerSecond }) => Number(rowsPerSecond ?? 0));
  const mean = rows.reduce((sum, value) => sum + value, 0) / rows.length;
  const hottest = load
    .flatMap(({ layer = 0, expertRows = [] }) =>
      expertRows.map((rate, expert) => ({ layer, expert, rate: Number(rate) })),
    )
    .filter(({ rate }) => rate >= 0.5)
    .sort((a, b) => b.rate - a.rate)
    .slice(0, HOTTEST);
  return {
    slots: workers.reduce((sum, { slots }) => sum + (slots ?? 0), 0),
    weightBytes: workers.reduce((sum, { weightBytes }) => sum + Number(weightBytes ?? 0), 0),
    imbalance: mean > 0 ? Math.max(...rows) / mean : null,
    hottest: hottest.map(({ layer, expert, rate }) => ({ layer, expert, rowsPerSecond: rate })),
    drained: drainedOf(workers),
  };
}

function drainedOf(workers: readonly WorkerStatus[]): readonly string[] {
  const states: ReadonlySet<unknown> = new Set(['WORKER_STATE_DRAINING', 'WORKER_STATE_DRAINED']);
  return workers.filter(({ state }) => states.has(state)).map(({ id }) => id ?? '');
}
