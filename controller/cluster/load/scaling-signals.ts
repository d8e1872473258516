import type { GetStatusResponse } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { WorkerStatus } from '../../../proto/generated/conclave/v1/WorkerStatus.ts';

/** A figure that says how many workers there should be. */
export interface ScalingSignal {
  /** As a Prometheus metric, without its prefix. */
  readonly name: string;
  readonly help: string;
  /** Whether each pool of expert workers has one of its own. */
  readonly pools: boolean;
  /** By pool; under "" that of the whole cluster. */
  readonly read: (input: ScalingInput) => ReadonlyMap<string, number>;
}

export interface ScalingInput {
  readonly status: GetStatusResponse;
  /** Sequences that a pipeline runs at once. */
  readonly maxNumSeqs: number;
  /** Time to first token of nine requests in ten of the last minute, divided by its target. */
  readonly firstTokenRatio: number;
}

/** Pools with values of their own; workers beyond these count for the whole cluster alone. */
const MAX_POOLS = 64;

/** What autoscalers go by. Those of stages are about pipelines' leads. */
export const scalingSignals: readonly ScalingSignal[] = [
  cluster('num_requests_waiting', 'Sequences that wait at the leads.', ({ status }) => status.waiting ?? 0),
  cluster(
    'stage_saturation_ratio',
    'How full pipelines are, 0 to 1: mean over leads of places or cache in use, whichever is scarcer.',
    ({ status, maxNumSeqs }) =>
      mean(
        leads(status).map(({ activity }) =>
          Math.min(1, Math.max((activity?.running ?? 0) / maxNumSeqs, Number(activity?.kvCacheUsageRatio ?? 0))),
        ),
      ),
  ),
  cluster(
    'prefill_backlog_seconds',
    'Seconds that leads need for the prompt tokens that wait, at the rate of their latest steps.',
    ({ status }) => {
      const activities = leads(status).map(({ activity }) => activity);
      const tokens = sum(activities.map((activity) => activity?.waitingTokens ?? 0));
      const rate = sum(activities.map((activity) => Number(activity?.prefillTokensPerSecond ?? 0)));
      return rate === 0 ? 0 : tokens / rate;
    },
  ),
  cluster(
    'kv_cache_usage_ratio',
    'Part of the KV cache in use at the lead whose cache is the fullest, 0 to 1.',
    ({ status }) => Math.max(0, ...leads(status).map(({ activity }) => Number(activity?.kvCacheUsageRatio ?? 0))),
  ),
  cluster(
    'time_to_first_token_target_ratio',
    'Time to first token of nine requests in ten of the last minute here, divided by --ttft-target.',
    ({ firstTokenRatio }) => firstTokenRatio,
  ),
  {
    name: 'expert_busy_ratio',
    help: 'Part of the time in which workers that hold experts alone compute, 0 to 1: their mean, by pool.',
    pools: true,
    read: ({ status }) => byPool(experts(status), ({ activity }) => Number(activity?.busyRatio ?? 0)),
  },
];

function cluster(name: string, help: string, read: (input: ScalingInput) => number): ScalingSignal {
  return { name, help, pools: false, read: (input) => new Map([['', read(input)]]) };
}

/** Workers that say how full their cache is lead a pipeline. */
function leads({ workers = [] }: GetStatusResponse): readonly WorkerStatus[] {
  return workers.filter(({ activity }) => typeof activity?.kvCacheUsageRatio === 'number');
}

function experts({ workers = [] }: GetStatusResponse): readonly WorkerStatus[] {
  return workers.filter(({ roles, activity }) => activity && roles?.includes('expert') && !roles.includes('stage'));
}

/** The pool of a StatefulSet's pod, "POOL-expert-ORDINAL"; else the worker is in none. */
export function poolOf(workerId: string): string | null {
  return /^(.+)-expert-\d+$/.exec(workerId)?.[1] ?? null;
}

function byPool(workers: readonly WorkerStatus[], read: (worker: WorkerStatus) => number): ReadonlyMap<string, number> {
  const pools = new Map<string, number[]>();
  for (const worker of workers) {
    const pool = poolOf(worker.id ?? '');
    if (pool === null || (!pools.has(pool) && pools.size === MAX_POOLS)) continue;
    pools.set(pool, [...(pools.get(pool) ?? []), read(worker)]);
  }
  return new Map([['', mean(workers.map(read))], ...[...pools].map(([pool, all]) => [pool, mean(all)] as const)]);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
