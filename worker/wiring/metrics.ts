/** Prometheus metrics of a worker. Label values come from fixed sets, but for peers, whose number is capped. */
import { Registry } from 'prom-client';
import type { BusConnection } from '../../platform/bus/bus.ts';
import { Instruments } from '../../platform/metrics/instruments.ts';
import { collectProcessMetrics } from '../../platform/metrics/process-metrics.ts';
import type { EngineSnapshot } from '../engine/run/observer.ts';
import { refusalLabel, refusalLabels } from '../errors.ts';
import { type ShardFailureCode, shardFailureCodes } from '../wire/failure.ts';

export interface WorkerMetricsInput {
  readonly bus: () => BusConnection;
  readonly planEpoch: () => number;
  /** Expert slots held now, and their bytes. */
  readonly slots: () => number;
  readonly expertBytes: () => number;
  /** Slots held only because no replica answers. */
  readonly coldSlots: () => number;
  /** Part of the time in which it computes, lately. */
  readonly busyRatio: () => number;
  /** What the engine holds; null on a worker that leads no pipeline. */
  readonly engine: () => EngineSnapshot | null;
}

export interface WorkerMetrics {
  readonly registry: Registry;
  dispatched(peer: string, rows: number, bytes: number, elapsedMs: number): void;
  retried(code: ShardFailureCode): void;
  hedged(): void;
  coldLoaded(experts: number): void;
  coldRows(rows: number): void;
  forwarded(rows: number, elapsedMs: number): void;
  refused(code: string): void;
  stepped(executeMs: number): void;
  stepFailed(): void;
}

/** Seconds: a dispatch on one machine takes a fraction of a millisecond. */
const secondsBuckets = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Peers with series of their own; those beyond are counted together as "other". */
const MAX_PEERS = 256;

export function createWorkerMetrics(input: WorkerMetricsInput): WorkerMetrics {
  const registry = new Registry();
  collectProcessMetrics(registry);
  const make = new Instruments(registry);
  addGauges(make, input);
  const latency = make.histogram(
    'dispatch_latency_seconds',
    'Time from sending rows to another worker to its partial sums.',
    secondsBuckets,
  );
  const dispatches = make.counter('dispatches_total', 'Dispatches that another worker answered.', ['peer']);
  const rows = make.counter('dispatch_rows_total', 'Rows that another worker answered.', ['peer']);
  const bytes = make.counter('dispatch_bytes_total', 'Bytes of rows sent and partial sums received.', ['peer']);
  const retries = make.counter(
    'dispatch_retries_total',
    'Dispatches that went elsewhere after a failure, by its code.',
    ['code'],
  );
  const hedges = make.counter('dispatch_hedges_total', 'Dispatches that were also sent to another replica.');
  const coldLoads = make.counter('cold_loads_total', 'Experts loaded by a stage because no replica answered.');
  const coldRowCount = make.counter('cold_rows_total', 'Rows that a stage computed because no replica answered.');
  const forwardTime = make.histogram(
    'shard_forward_seconds',
    'Time to answer a dispatch, queueing included.',
    secondsBuckets,
  );
  const forwardRows = make.counter('shard_rows_total', 'Rows computed for other workers.');
  const refusedCount = make.counter('shard_refusals_total', 'Dispatches refused, by code.', ['code']);
  const steps = make.histogram('engine_step_seconds', 'Time that steps of the pipeline took.', secondsBuckets);
  const stepFailures = make.counter(
    'engine_step_failures_total',
    'Steps that could not be computed; sequences go on in another.',
  );
  for (const code of shardFailureCodes) retries.inc({ code }, 0);
  for (const code of refusalLabels) refusedCount.inc({ code }, 0);
  const peers = new Set<string>();
  const peerLabel = (peer: string): string => {
    if (peers.size < MAX_PEERS) peers.add(peer);
    return peers.has(peer) ? peer : 'other';
  };
  return {
    registry,
    dispatched(id, rowCount, byteCount, elapsedMs) {
      const peer = peerLabel(id);
      latency.observe(elapsedMs / 1_000);
      dispatches.inc({ peer });
      rows.inc({ peer }, rowCount);
      bytes.inc({ peer }, byteCount);
    },
    retried: (code) => retries.inc({ code }),
    hedged: () => hedges.inc(),
    coldLoaded: (experts) => coldLoads.inc(experts),
    coldRows: (count) => coldRowCount.inc(count),
    forwarded(count, elapsedMs) {
      forwardTime.observe(elapsedMs / 1_000);
      forwardRows.inc(count);
    },
    refused: (code) => refusedCount.inc({ code: refusalLabel(code) }),
    stepped: (executeMs) => steps.observe(executeMs / 1_000),
    stepFailed: () => stepFailures.inc(),
  };
}

/** Read when scraped. */
function addGauges(make: Instruments, input: WorkerMetricsInput): void {
  make.readGauge('bus_connected', '1 while the bus answers.', () => (input.bus() === 'connected' ? 1 : 0));
  make.readGauge('plan_epoch', 'Epoch of the plan in force here.', input.planEpoch);
  make.readGauge('expert_slots', 'Expert slots held.', input.slots);
  make.readGauge('expert_bytes', 'Bytes of the expert slots held.', input.expertBytes);
  make.readGauge('cold_slots', 'Expert slots held only because no replica answers.', input.coldSlots);
  make.readGauge('worker_busy_ratio', 'Part of the time in which this worker computes, 0 to 1.', input.busyRatio);
  make.readGauge('num_requests_running', 'Sequences that the engine computes.', () => input.engine()?.running ?? 0);
  make.readGauge('num_requests_waiting', 'Sequences that wait in the engine.', () => input.engine()?.waiting ?? 0);
  make.readGauge('kv_cache_usage_ratio', 'Part of the KV cache in use, 0 to 1.', () => input.engine()?.kvUsage ?? 0);
}
