/**
 * Prometheus metrics of the gateway and of the engine it serves, in the names that vLLM's dashboards know. Label values
 * come from fixed sets, so the number of series is bounded.
 */
import { Registry } from 'prom-client';
import { Instruments } from '../../../platform/metrics/instruments.ts';
import { collectProcessMetrics } from '../../../platform/metrics/process-metrics.ts';
import type { RequestObserver } from '../../gateway/observer.ts';
import { addEngineMetrics, type EngineSnapshot } from './engine-metrics.ts';
import { createHttpMetrics, type HttpMetrics } from './http-metrics.ts';
import { createRequestMetrics } from './request-metrics.ts';

export interface MetricsOptions {
  /** Null where no engine runs in this process. */
  readonly engine: (() => EngineSnapshot) | null;
  /** Whether to report the process's own memory, CPU time and event loop. */
  readonly processMetrics: boolean;
}

export interface Metrics extends RequestObserver, HttpMetrics {
  readonly contentType: string;
  render(): Promise<string>;
  /** Reports how many requests the gateway answers now. */
  addRunningRequests(running: () => number): void;
  /** Where other parts register metrics of their own. */
  readonly registry: Registry;
}

export function createMetrics({ engine, processMetrics }: MetricsOptions): Metrics {
  const registry = new Registry();
  const make = new Instruments(registry);
  if (processMetrics) collectProcessMetrics(registry);
  if (engine !== null) addEngineMetrics(make, engine);
  return {
    registry,
    contentType: registry.contentType,
    render: () => registry.metrics(),
    addRunningRequests: (running) =>
      make.readGauge('gateway_requests_running', 'Requests that the gateway is answering.', running),
    ...createRequestMetrics(make),
    ...createHttpMetrics(make),
  };
}
