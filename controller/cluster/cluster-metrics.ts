import type { Registry } from 'prom-client';
import type { Bus } from '../../platform/bus/bus.ts';
import { Instruments } from '../../platform/metrics/instruments.ts';
import type { GetStatusResponse } from '../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { ClusterController } from './cluster-controller.ts';
import { type ScalingInput, scalingSignals } from './load/scaling-signals.ts';

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
  controller: Pick<ClusterController, 'status' | 'leads' | 'obstacles' | 'expertMoves'>,
  bus: Pick<Bus, 'state' | 'droppedEvents'>,
  scaling: () => Omit<ScalingInput, 'status'>,
): void {
  const status = oncePerScrape(() => controller.status());
  const make = new Instruments(registry);
  addPlan(make, status);
  addWorkers(make, status);
  addScaling(make, () => ({ ...scaling(), status: status() }));
  make.readGauge('ready', '1 while this controller can answer requests.', () =>
    controller.obstacles().length === 0 ? 1 : 0,
  );
  make.readGauge('controller_leads', '1 when this controller leads the cluster.', () => (controller.leads() ? 1 : 0));
  make.readGauge('bus_connected', '1 while the bus answers.', () => (bus.state === 'connected' ? 1 : 0));
  make.readCounter(
    'bus_dropped_events_total',
    'Events that were not sent because the bus was away.',
    () => bus.droppedEvents,
  );
  make.readCounter('expert_moves_total', 'Expert slots that plans loaded because of load alone.', () =>
    controller.expertMoves(),
  );
  make.readCounters('cluster_failures_total', 'Failures that members reported, by code.', 'code', () =>
    Object.entries({ ...noFailures, ...status().failures }).map(([code, count]) => [code, Number(count)]),
  );
}

type ReadStatus = () => GetStatusResponse;

function addPlan(make: Instruments, status: ReadStatus): void {
  make.readGauge('plan_epoch', 'Epoch of the plan in force.', () => Number(status().plan?.epoch ?? 0));
  make.readGauge('plan_slots', 'Expert slots of the plan in force.', () => status().plan?.slots ?? 0);
  make.readGauges('rollout_state', 'Phase of the rollout: 1 for the one it is in.', 'phase', () => {
    const current = status().rollout?.phase;
    return Object.entries(phases).map(([label, phase]) => [label, current === `ROLLOUT_PHASE_${phase}` ? 1 : 0]);
  });
  make.readGauge('rollout_loaded_bytes', 'Bytes that workers have loaded for the rollout.', () =>
    Number(status().rollout?.loadedBytes ?? 0),
  );
  make.readGauge('rollout_total_bytes', 'Bytes that workers load for the rollout.', () =>
    Number(status().rollout?.totalBytes ?? 0),
  );
}

function addWorkers(make: Instruments, status: ReadStatus): void {
  make.readGauges('workers', 'Workers that are there or planned with, by state.', 'state', () => {
    const { workers = [] } = status();
    return states.map((state) => [
      state,
      workers.filter((worker) => worker.state === `WORKER_STATE_${state.toUpperCase()}`).length,
    ]);
  });
  make.readGauge('requests_pending', 'Things that operators asked for and that no plan gives now.', () => {
    const { requests = [] } = status();
    return requests.filter(({ state }) => state === 'REQUEST_STATE_PENDING').length;
  });
  make.readGauges('expert_imbalance_ratio', "Busiest worker's rows over the mean, by layer.", 'layer', () =>
    (status().load ?? []).map(({ layer, imbalance }) => [String(layer), Number(imbalance)]),
  );
  make.readGauge('num_requests_running', 'Sequences that the leads compute.', () => status().running ?? 0);
}

function addScaling(make: Instruments, input: () => ScalingInput): void {
  for (const { name, help, pools, read } of scalingSignals) {
    if (pools) make.readGauges(name, help, 'pool', () => read(input()));
    else make.readGauge(name, help, () => read(input()).get('') ?? 0);
  }
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
