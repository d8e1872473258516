/** What one process that serves everything says of itself, in the form in which a cluster does. */
import { hostname } from 'node:os';
import { ExpertLoadBook } from '../../controller/cluster/load/expert-load.ts';
import { LatencyMeter } from '../../controller/gateway/latency/latency-meter.ts';
import { LatencyWindow } from '../../controller/gateway/latency/latency-window.ts';
import type { GetStatusResponse } from '../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { WorkerStatus } from '../../proto/generated/conclave/v1/WorkerStatus.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { expertCount } from '../../proto/model/operators.ts';
import type { EngineSnapshot } from '../../worker/engine/run/observer.ts';
import type { LocalHandles } from '../../worker/stage/local-executor.ts';

/** An engine, and the model that it computes. */
interface Loaded {
  readonly engine: { snapshot(): Pick<EngineSnapshot, 'running' | 'waiting' | 'kvUsage'> };
  readonly stage: Pick<LocalHandles['stage'], 'takeExpertRows' | 'weightBytes'>;
  readonly bank: Pick<LocalHandles['bank'], 'bytes'>;
}

const INTERVAL_MS = 2_000;

export class EmbeddedStatus {
  readonly latencies = new LatencyMeter();
  readonly #spec: ModelSpec;
  readonly #now: () => number;
  readonly #window: LatencyWindow;
  readonly #load: ExpertLoadBook;
  readonly #startedAt = Date.now();
  readonly #device: Pick<WorkerStatus, 'device' | 'gpu'>;
  #loaded: Loaded | null = null;
  #timer: NodeJS.Timeout | undefined;
  #sampled: { readonly at: number; readonly tokens: number };
  #tokensPerSecond = 0;

  /** `now`: monotonic milliseconds. */
  constructor(spec: ModelSpec, now: () => number, device: Pick<WorkerStatus, 'device' | 'gpu'> = { device: 'cpu' }) {
    this.#device = device;
    this.#spec = spec;
    this.#now = now;
    this.#window = new LatencyWindow(now);
    this.#load = new ExpertLoadBook(spec);
    this.#sampled = { at: now(), tokens: 0 };
  }

  /** The model is loaded: from now on it is looked at every two seconds. */
  start(engine: Loaded['engine'], { stage, bank }: Omit<Loaded, 'engine'>): void {
    this.#loaded = { engine, stage, bank };
    this.#sampled = { at: this.#now(), tokens: this.latencies.tokens };
    this.#timer = setInterval(() => this.sample(), INTERVAL_MS).unref();
  }

  /** Before the model is freed. */
  stop(): void {
    clearInterval(this.#timer);
    this.#loaded = null;
  }

  /** Adds what happened since the last call. */
  sample(): void {
    const [at, { tokens }] = [this.#now(), this.latencies];
    const seconds = (at - this.#sampled.at) / 1_000;
    if (this.#loaded === null || seconds <= 0) return;
    this.#tokensPerSecond = (tokens - this.#sampled.tokens) / seconds;
    this.#sampled = { at, tokens };
    const counts = this.latencies.take();
    if (counts !== null) this.#window.add(counts);
    const layers = this.#loaded.stage
      .takeExpertRows()
      .flatMap((rows, layer) => (rows.length === 0 ? [] : [{ layer, expertRows: [...rows] }]));
    this.#load.add({ workerId: '', seconds, layers, activity: null });
  }

  /** `obstacle`: why requests cannot be answered now; empty: they can. */
  status(obstacle: string): GetStatusResponse {
    const engine = this.#loaded?.engine.snapshot() ?? { running: 0, waiting: 0, kvUsage: 0 };
    const load = (this.#load.rates() ?? []).map(({ layer, expertRows }) => ({
      ...{ layer, expertRows: [...expertRows], imbalance: 1 },
    }));
    const { stage, bank } = this.#loaded ?? { stage: { weightBytes: 0 }, bank: { bytes: 0 } };
    const slots = this.#spec.layers.reduce((sum, layer) => sum + expertCount(layer), 0);
    const worker = {
      id: 'this process',
      node: hostname(),
      pid: process.pid,
      roles: ['stage', 'expert'],
      state: obstacle === '' ? ('WORKER_STATE_READY' as const) : ('WORKER_STATE_LOADING' as const),
      slots: this.#loaded === null ? 0 : slots,
      slotsWanted: slots,
      weightBytes: stage.weightBytes + bank.bytes,
      rowsPerSecond: load.reduce((sum, { expertRows }) => expertRows.reduce((a, b) => a + b, sum), 0),
      startedAtMs: this.#startedAt,
      activity: {
        tokensPerSecond: this.#tokensPerSecond,
        running: engine.running,
        waiting: engine.waiting,
        kvCacheUsageRatio: engine.kvUsage,
      },
      error: obstacle,
      ...this.#device,
    };
    return {
      ...{ model: this.#spec.name, workers: [worker], load, latency: this.#window.summary(), atMs: Date.now() },
      ...{ tokensPerSecond: this.#tokensPerSecond, running: engine.running, waiting: engine.waiting },
    };
  }
}
