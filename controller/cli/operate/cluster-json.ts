/**
 * What `--output json` says of a cluster. The forms are documented in docs/cluster.md and only ever grow: camelCase keys,
 * states and phases in lower case, times as ISO 8601, bytes as numbers.
 */
import type { ClusterEvent__Output as ClusterEvent } from '../../../proto/generated/conclave/v1/ClusterEvent.ts';
import type { GetStatusResponse__Output as ClusterStatus } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';

export function statusJson(status: ClusterStatus) {
  const { model, plan, rollout, workers, leader, bus, load, events, failures } = status;
  return {
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
    })),
    leader,
    bus: word(bus, 'BUS_STATE_'),
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

export function eventJson({ atMs, code, severity, subject, message, count }: ClusterEvent) {
  return { at: new Date(atMs).toISOString(), code, severity, subject, message, count: Math.max(1, count) };
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

function word(name: string, prefix: string): string {
  return name.replace(prefix, '').toLowerCase();
}
