/**
 * What `--output json` says of a cluster. The forms are documented in docs/cluster.md and only ever grow: camelCase keys,
 * states and phases in lower case, times as ISO 8601, bytes as numbers.
 */
import type { ChangePreview__Output as ChangePreview } from '../../../proto/generated/conclave/v1/ChangePreview.ts';
import type { ClusterEvent__Output as ClusterEvent } from '../../../proto/generated/conclave/v1/ClusterEvent.ts';
import type { GetStatusResponse__Output as ClusterStatus } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { LatencyPercentiles__Output as LatencyPercentiles } from '../../../proto/generated/conclave/v1/LatencyPercentiles.ts';
import type { RequestStatus__Output as RequestStatus } from '../../../proto/generated/conclave/v1/RequestStatus.ts';
import type { WorkerActivity__Output as WorkerActivity } from '../../../proto/generated/conclave/v1/WorkerActivity.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';

export function statusJson(status: ClusterStatus) {
  const { model, plan, rollout, workers, leader, bus, load, rebalance, events, failures } = status;
  return {
    at: isoTime(status.atMs),
    model,
    plan: {
      epoch: plan?.epoch ?? 0,
      reason: plan?.reason ?? '',
      slots: plan?.slots ?? 0,
      pipelines: plan?.pipelines ?? 0,
    },
    rollout: {
      phase: rolloutPhase(status),
      epoch: rollout?.epoch ?? 0,
      loadedBytes: rollout?.loadedBytes ?? 0,
      totalBytes: rollout?.totalBytes ?? 0,
      error: rollout?.error ?? '',
    },
    workers: workers.map((worker) => ({
      id: worker.id,
      address: worker.address,
      node: worker.node,
      pid: worker.pid,
      roles: worker.roles,
      state: word(worker.state, 'WORKER_STATE_'),
      slots: worker.slots,
      slotsWanted: worker.slotsWanted,
      memoryBytes: worker.memoryBytes,
      weightBytes: worker.weightBytes,
      error: worker.error,
      cordoned: worker.cordoned,
      startedAt: worker.startedAtMs === 0 ? null : isoTime(worker.startedAtMs),
      rowsPerSecond: rounded(worker.rowsPerSecond),
      activity: worker.activity && activityJson(worker.activity),
      missingSince: worker.missingSinceMs === 0 ? null : new Date(worker.missingSinceMs).toISOString(),
      device: worker.device,
      gpu: worker.gpu,
    })),
    requests: status.requests.map(requestJson),
    tokensPerSecond: rounded(status.tokensPerSecond),
    running: status.running,
    waiting: status.waiting,
    latency: status.latency && {
      timeToFirstToken: percentilesJson(status.latency.timeToFirstToken),
      interToken: percentilesJson(status.latency.interToken),
      queueTime: percentilesJson(status.latency.queueTime),
    },
    leader,
    bus: word(bus, 'BUS_STATE_'),
    rebalance: rebalance && {
      mode: rebalance.mode,
      imbalance: rounded(rebalance.imbalance),
      loadsPerMinute: rebalance.loadsPerMinute,
      last: rebalance.last && {
        at: isoTime(rebalance.last.atMs),
        epoch: rebalance.last.epoch,
        loads: rebalance.last.loads,
        reason: rebalance.last.reason,
      },
    },
    load: load.map(({ layer, imbalance, expertRows }) => ({ layer, imbalance, expertRows })),
    events: events.map(eventJson),
    failures,
  };
}

export type StatusJson = ReturnType<typeof statusJson>;

/** "none" before the first plan, "loading", "complete" or "rolled_back". */
export function rolloutPhase({ rollout }: ClusterStatus): string {
  const phase = word(rollout?.phase ?? 'ROLLOUT_PHASE_UNSPECIFIED', 'ROLLOUT_PHASE_');
  return phase === 'unspecified' ? 'none' : phase;
}

/** What somebody asked for, beside what there is. */
function requestJson(request: RequestStatus) {
  const { kind, what, state, reason, asked, wanted, actualLeast, actualMost, experts, workerId } = request;
  const replicas = kind === 'replicas' ? { wanted, actualLeast, actualMost, experts } : { worker: workerId };
  return {
    kind,
    what,
    state: word(state, 'REQUEST_STATE_'),
    reason,
    by: asked?.by ?? null,
    at: asked === null ? null : isoTime(asked.atMs),
    ...replicas,
  };
}

function activityJson({ dispatchMs, tokensPerSecond, running, waiting, kvCacheUsageRatio }: WorkerActivity) {
  return {
    dispatchMs: dispatchMs === 0 ? null : rounded(dispatchMs),
    tokensPerSecond: rounded(tokensPerSecond),
    running,
    waiting,
    kvCacheUsageRatio: kvCacheUsageRatio === undefined ? null : rounded(kvCacheUsageRatio),
  };
}

/** Null where nothing was measured. */
function percentilesJson(times: LatencyPercentiles | null) {
  if (times === null) return null;
  const { count, p50Ms, p90Ms, p99Ms } = times;
  return { count, p50Ms: rounded(p50Ms), p90Ms: rounded(p90Ms), p99Ms: rounded(p99Ms) };
}

/** What a change would do. */
export function previewJson({ refusals, shortfalls, workers }: ChangePreview) {
  return {
    refusals,
    shortfalls,
    loadBytes: workers.reduce((sum, { loadBytes }) => sum + loadBytes, 0),
    freeBytes: workers.reduce((sum, { freeBytes }) => sum + freeBytes, 0),
    workers: workers.map(({ workerId, loads, loadBytes, frees, freeBytes, stageChanges }) => ({
      worker: workerId,
      loads,
      loadBytes,
      frees,
      freeBytes,
      stageChanges,
    })),
  };
}

export type PreviewJson = ReturnType<typeof previewJson>;

export function eventJson({ atMs, code, severity, subject, message, count }: ClusterEvent) {
  return { at: isoTime(atMs), code, severity, subject, message, count: Math.max(1, count) };
}

/** Workers by their ids, not by their place in the plan. */
export function planJson(plan: PlacementPlan) {
  const id = (index: number): string => plan.workers[index]?.id ?? '';
  return {
    epoch: plan.epoch,
    reason: plan.reason,
    model: plan.model,
    modelDigest: plan.modelDigest,
    weights: plan.weights,
    blockSize: plan.blockSize,
    workers: plan.workers.map((worker) => ({
      id: worker.id,
      address: worker.address,
      weightBytes: worker.weightBytes,
    })),
    pipelines: plan.pipelines.map((pipeline) => ({
      id: pipeline.id,
      kvBlocks: pipeline.kvBlocks,
      stateSlots: pipeline.stateSlots,
      stages: pipeline.stages.map(({ firstLayer, endLayer, ranks }) => ({
        firstLayer,
        endLayer,
        ranks: ranks.map(({ worker, ...slice }) => ({ worker: id(worker), ...slice })),
      })),
    })),
    experts: plan.experts.map(({ layer, slices, expert, slice, worker }) => ({
      layer,
      slices,
      slots: expert.map((logical, i) => ({ expert: logical, slice: slice[i] ?? 0, worker: id(worker[i] ?? -1) })),
    })),
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** Floats travel with 24 bits; more digits would be noise. */
function rounded(value: number): number {
  return Number(value.toPrecision(6));
}

function word(name: string, prefix: string): string {
  return name.replace(prefix, '').toLowerCase();
}
