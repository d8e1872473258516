import type { Instruments } from '../../../platform/metrics/instruments.ts';

/** What the engine holds at this moment; the engine's own snapshot has these members. */
export interface EngineSnapshot {
  /** Sequences that hold cache blocks. */
  readonly running: number;
  /** Sequences that wait. */
  readonly waiting: number;
  /** Part of the cache that sequences hold, 0 to 1. */
  readonly kvUsage: number;
  /** Since the start. */
  readonly prefixQueriedTokens: number;
  readonly prefixHitTokens: number;
  readonly preemptions: number;
}

export function addEngineMetrics(make: Instruments, engine: () => EngineSnapshot): void {
  make.readGauge('num_requests_running', 'Sequences that the engine computes.', () => engine().running);
  make.readGauge('num_requests_waiting', 'Sequences that wait in the engine.', () => engine().waiting);
  make.readGauge('kv_cache_usage_ratio', 'Part of the KV cache in use, 0 to 1.', () => engine().kvUsage);
  make.readCounter(
    'prefix_cache_queries_total',
    'Prompt tokens looked up in the prefix cache.',
    () => engine().prefixQueriedTokens,
  );
  make.readCounter(
    'prefix_cache_hits_total',
    'Prompt tokens found in the prefix cache.',
    () => engine().prefixHitTokens,
  );
  make.readCounter(
    'num_preemptions_total',
    'Sequences that gave up their cache and were computed again.',
    () => engine().preemptions,
  );
}
