import { Counter, Gauge, type Registry } from 'prom-client';
import type { Bus } from '../../platform/bus/bus.ts';
import type { GetStatusResponse } from '../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { ControllerNode } from './controller-node.ts';

const phases = { complete: 'COMPLETE', loading: 'LOADING', rolled_back: 'ROLLED_BACK' } as const;
const states = ['idle', 'loading', 'ready', 'draining', 'drained', 'lost', 'failed', 'unreachable'] as const;

/** Their series begin with 0. */
const noFailures = Object.fromEntries(
  ['PEER_LOST', 'DEADLINE', 'BUSY', 'REFUSED', 'POISONED', 'COLD_LOAD', 'STEP_FAILED', 'WORKER_LOST'].map((code) => [
    code,
    0,
  ]),
);

/**
 * What a controller knows of the cluster, read when scraped. One series per layer, worker state, rollout phase and failure
 * code: their number does not grow with traffic.
 */
export function clusterMetrics(
  registry: Registry,
  node: Pick<ControllerNode, 'status' | 'leads' | 'obstacles'>,
  bus: Pick<Bus, 'state' | 'droppedEvents'>,
): void {
  const status = oncePerScrape(() => node.status());
  const gauge = (name: string, help: string, read: (status: GetStatusResponse) => number): void => {
    new Gauge({
      name: `conclave_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read(status()));
      },
    });
  };
  const gauges = (
    name: string,
    help: string,
    label: string,
    read: (status: GetStatusResponse) => Iterable<readonly [string, number]>,
  ): void => {
    new Gauge({
      name: `conclave_${name}`,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of read(status())) this.set({ [label]: value }, count);
      },
    });
  };
  const counter = (name: string, help: string, label: string | null, read: () => Iterable<readonly [string, number]>) =>
    new Counter({
      name: `conclave_${name}`,
      help,
      labelNames: label === null ? [] : [label],
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, count] of read()) this.inc(label === null ? {} : { [label]: value }, count);
      },
    });

  gauge('plan_epoch', 'Epoch of the plan in force.', ({ plan }) => Number(plan?.epoch ?? 0));
  gauge('plan_slots', 'Expert slots of the plan in force.', ({ plan }) => plan?.slots ?? 0);
  gauges('rollout_state', 'Phase of the rollout: 1 for the one it is in.', 'phase', ({ rollout }) =>
    Object.entries(phases).map(([label, phase]) => [label, rollout?.phase === `ROLLOUT_PHASE_${phase}` ? 1 : 0]),
  );
  gauge('rollout_loaded_bytes', 'Bytes that workers have loaded for the rollout.', ({ rollout }) =>
    Number(rollout?.loadedBytes ?? 0),
  );
  gauge('rollout_total_bytes', 'Bytes that workers load for the rollout.', ({ rollout }) =>
    Number(rollout?.totalBytes ?? 0),
  );
  gauges('workers', 'Workers that are there or planned with, by state.', 'state', ({ workers = [] }) =>
    states.map((state) => [
      state,
      workers.filter((worker) => worker.state === `WORKER_STATE_${state.toUpperCase()}`).length,
    ]),
  );
  gauge(
    'requests_pending',
    'Things that operators asked for and that no plan gives now.',
    ({ requests = [] }) => requests.filter(({ state }) => state === 'REQUEST_STATE_PENDING').length,
  );
  gauges('expert_imbalance_ratio', "Busiest worker's rows over the mean, by layer.", 'layer', ({ load = [] }) =>
    load.map(({ layer, imbalance }) => [String(layer), Number(imbalance)]),
  );
  gauge('num_requests_running', 'Sequences that the leads compute.', ({ running }) => running ?? 0);
  gauge('num_requests_waiting', 'Sequences that wait at the leads.', ({ waiting }) => waiting ?? 0);
  gauge('kv_cache_usage_ratio', 'Part of the KV cache in use at the lead whose cache is the fullest, 0 to 1.', (now) =>
    Math.max(0, ...(now.workers ?? []).map(({ activity }) => Number(activity?.kvCacheUsageRatio ?? 0))),
  );
  gauge('ready', '1 while this controller can answer requests.', () => (node.obstacles().length === 0 ? 1 : 0));
  gauge('controller_leads', '1 when this controller leads the cluster.', () => (node.leads() ? 1 : 0));
  gauge('bus_connected', '1 while the bus answers.', () => (bus.state === 'connected' ? 1 : 0));
  counter('bus_dropped_events_total', 'Events that were not sent because the bus was away.', null, () => [
    ['', bus.droppedEvents],
  ]);
  counter('cluster_failures_total', 'Failures that members reported, by code.', 'code', () =>
    Object.entries({ ...noFailures, ...status().failures }).map(([code, count]) => [code, Number(count)]),
  );
}

/** Several metrics are read in one scrape; what they read is made once. */
function oncePerScrape<T extends object>(read: () => T): () => T {
  let kept: T | null = null;
  return () => {
    if (kept === null) {
      kept = read();
      setImmediate(() => {
        kept = null;
      });
    }
    return kept;
  };
}
