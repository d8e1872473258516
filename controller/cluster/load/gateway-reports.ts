import type { Bus } from '../../../platform/bus/bus.ts';
import { gatewaySubject, gatewaySubjects } from '../../../platform/bus/subjects.ts';
import type { LatencySummary } from '../../../proto/generated/conclave/v1/LatencySummary.ts';
import { conclave, decode, encode } from '../../../proto/messages.ts';
import { type LatencyCounts, LatencyMeter } from '../../gateway/latency/latency-meter.ts';
import { LatencyWindow } from '../../gateway/latency/latency-window.ts';

const INTERVAL_MS = 2_000;

export interface GatewayReportsOptions {
  readonly bus: Bus;
  readonly cluster: string;
  /** Of this controller. */
  readonly id: string;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly onError: (what: string, error: unknown) => void;
}

/** Times of requests over all controllers: each reports what its gateway measured, and every one adds them up. */
export class GatewayReports {
  readonly meter = new LatencyMeter();
  readonly #options: GatewayReportsOptions;
  readonly #window: LatencyWindow;
  #stops: readonly (() => void)[] = [];

  constructor(options: GatewayReportsOptions) {
    this.#options = options;
    this.#window = new LatencyWindow(options.now);
  }

  start(): void {
    const { bus, cluster } = this.#options;
    const timer = setInterval(() => this.report(), INTERVAL_MS).unref();
    const stop = bus.subscribe(gatewaySubjects(cluster), (payload) => this.#reported(payload));
    this.#stops = [() => clearInterval(timer), stop];
  }

  /** Null while no token was sent lately. */
  summary(): LatencySummary | null {
    return this.#window.summary();
  }

  /** Sends what was measured since the last call. While the bus is away only this controller knows it. */
  report(): void {
    const { bus, cluster, id } = this.#options;
    const counts = this.meter.take();
    if (counts === null) return;
    this.#window.add(counts);
    if (bus.state !== 'connected') return;
    const of = (key: keyof LatencyCounts) => ({ counts: [...counts[key]] });
    const times = {
      timeToFirstToken: of('timeToFirstToken'),
      interToken: of('interToken'),
      queueTime: of('queueTime'),
    };
    bus.publish(gatewaySubject(cluster, id), encode(conclave.GatewayReport, { controllerId: id, ...times }));
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }

  #reported(payload: Uint8Array): void {
    try {
      const { controllerId, ...report } = decode(conclave.GatewayReport, payload);
      if (controllerId === this.#options.id) return;
      this.#window.add({
        timeToFirstToken: report.timeToFirstToken?.counts ?? [],
        interToken: report.interToken?.counts ?? [],
        queueTime: report.queueTime?.counts ?? [],
      });
    } catch (error) {
      this.#options.onError('gateway report', error);
    }
  }
}
