/**
 * What the dashboard shows, in one object that is sent every two seconds: 61 layers of 384 experts and 100 workers take about
 * 60 KB. docs/api.md documents it.
 */
import type { GetStatusResponse } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { LatencyPercentiles } from '../../../proto/generated/conclave/v1/LatencyPercentiles.ts';
import type { LayerLoad } from '../../../proto/generated/conclave/v1/LayerLoad.ts';

/** Events of a frame. */
const EVENTS = 30;

export function frameOf(status: GetStatusResponse) {
  const { plan, rollout, workers = [], latency } = status;
  const usages = workers.flatMap(({ activity }) => activity?.kvCacheUsageRatio ?? []);
  return {
    at: Number(status.atMs ?? 0),
    model: status.model ?? '',
    leader: status.leader ?? '',
    bus: word(status.bus, 'BUS_STATE_'),
    plan: plan
      ? { epoch: Number(plan.epoch), reason: plan.reason, slots: plan.slots, pipelines: plan.pipelines }
      : null,
    rollout: rollout
      ? {
          phase: word(rollout.phase, 'ROLLOUT_PHASE_') || 'none',
          epoch: Number(rollout.epoch),
          loadedBytes: Number(rollout.loadedBytes),
          totalBytes: Number(rollout.totalBytes),
          error: rollout.error ?? '',
        }
      : null,
    tokensPerSecond: rounded(status.tokensPerSecond),
    running: status.running ?? 0,
    waiting: status.waiting ?? 0,
    /** Of the lead whose cache is the fullest; null without one. */
    kvCacheUsageRatio: usages.length === 0 ? null : rounded(Math.max(...usages.map(Number))),
    latency: {
      timeToFirstToken: percentiles(latency?.timeToFirstToken),
      interToken: percentiles(latency?.interToken),
      queueTime: percentiles(latency?.queueTime),
    },
    requests: (status.requests ?? []).map(({ kind, what, state, reason, asked, workerId }) => ({
      ...{ kind, what, state: word(state, 'REQUEST_STATE_'), reason, worker: workerId ?? '' },
      ...{ by: asked?.by ?? null, at: asked ? Number(asked.atMs) : null },
    })),
    workers: workers.map(workerOf),
    load: loadOf(status.load ?? []),
    events: (status.events ?? []).slice(-EVENTS).map(({ atMs, code, severity, subject, message, count }) => ({
      ...{ at: Number(atMs), code, severity, subject, message, count: Math.max(1, count ?? 1) },
    })),
    failures: Object.fromEntries(Object.entries(status.failures ?? {}).map(([code, count]) => [code, Number(count)])),
  };
}

export type Frame = ReturnType<typeof frameOf>;

function workerOf(worker: NonNullable<GetStatusResponse['workers']>[number]) {
  const { activity } = worker;
  return {
    id: worker.id ?? '',
    node: worker.node ?? '',
    roles: worker.roles ?? [],
    state: word(worker.state, 'WORKER_STATE_'),
    cordoned: worker.cordoned ?? false,
    slots: worker.slots ?? 0,
    slotsWanted: worker.slotsWanted ?? 0,
    weightBytes: Number(worker.weightBytes ?? 0),
    memoryBytes: Number(worker.memoryBytes ?? 0),
    rowsPerSecond: rounded(worker.rowsPerSecond),
    dispatchMs: activity?.dispatchMs ? rounded(activity.dispatchMs) : null,
    kvCacheUsageRatio: activity?.kvCacheUsageRatio === undefined ? null : rounded(activity.kvCacheUsageRatio),
    startedAt: Number(worker.startedAtMs ?? 0) || null,
    missingSince: Number(worker.missingSinceMs ?? 0) || null,
    error: worker.error ?? '',
    /** "cpu", or a GPU such as "cuda:0 NVIDIA H200". */
    device: [worker.device ?? '', worker.gpu?.name ?? ''].join(' ').trim(),
  };
}

/** Steps of a level for a factor of two. */
const STEPS = 16;

/**
 * Load of experts, a byte each: with m the rows per second of the busiest expert, level b > 0 stands for
 * m × 2^((b - 255) / 16) rows per second, within 2.2 %, and 0 for none.
 */
function loadOf(load: readonly LayerLoad[]) {
  const rates = load.map(({ expertRows = [] }) => expertRows.map(Number));
  const busiest = rates.reduce((most, rows) => rows.reduce((a, b) => Math.max(a, b), most), 0);
  const level = (rate: number): number =>
    rate > 0 ? Math.max(1, 255 + Math.round(STEPS * Math.log2(rate / busiest))) : 0;
  return {
    layers: load.map(({ layer }) => layer ?? 0),
    experts: rates.map(({ length }) => length),
    imbalance: load.map(({ imbalance }) => rounded(imbalance)),
    busiest: rounded(busiest),
    /** Base64 of the levels of all experts, one layer after the other. */
    levels: Buffer.from(rates.flatMap((rows) => rows.map(level))).toString('base64'),
  };
}

function percentiles(times: LatencyPercentiles | null | undefined) {
  if (!times) return null;
  const { count = 0, p50Ms, p90Ms, p99Ms } = times;
  return { count, p50Ms: rounded(p50Ms), p90Ms: rounded(p90Ms), p99Ms: rounded(p99Ms) };
}

/** Three digits: floats travel with more than anybody reads. */
function rounded(value: number | string | undefined): number {
  return Number(Number(value ?? 0).toPrecision(3));
}

function word(name: string | number | undefined, prefix: string): string {
  const short = String(name ?? '')
    .replace(prefix, '')
    .toLowerCase();
  return short === 'unspecified' ? '' : short;
}
