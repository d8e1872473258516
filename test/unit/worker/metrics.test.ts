import { describe, expect, it } from 'vitest';
import { createWorkerMetrics } from '../../../worker/wiring/metrics.ts';

function metrics() {
  return createWorkerMetrics({
    bus: () => 'reconnecting',
    planEpoch: () => 7,
    slots: () => 3,
    expertBytes: () => 4_096,
    coldSlots: () => 1,
    busyRatio: () => 0.5,
    engine: () => null,
  });
}

/** Values by name and labels. */
async function scraped({ registry }: ReturnType<typeof metrics>): Promise<ReadonlyMap<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('conclave_'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

describe('worker metrics', () => {
  it('count dispatches, bytes and rows by peer, and failures by code', async () => {
    const worker = metrics();
    worker.dispatched('w1', 8, 32_768, 2);
    worker.dispatched('w1', 2, 1_024, 1);
    worker.dispatched('w2', 1, 1, 1);
    worker.retried('DEADLINE');
    worker.hedged();
    worker.coldLoaded(2);
    worker.coldRows(5);
    worker.refused('BUSY');
    worker.stepFailed();
    const values = await scraped(worker);
    expect(Object.fromEntries(values)).toMatchObject({
      'conclave_dispatches_total{peer="w1"}': 2,
      'conclave_dispatch_rows_total{peer="w1"}': 10,
      'conclave_dispatch_bytes_total{peer="w1"}': 33_792,
      'conclave_dispatch_rows_total{peer="w2"}': 1,
      conclave_dispatch_latency_seconds_count: 3,
      'conclave_dispatch_retries_total{code="DEADLINE"}': 1,
      conclave_dispatch_hedges_total: 1,
      conclave_cold_loads_total: 2,
      conclave_cold_rows_total: 5,
      'conclave_shard_refusals_total{code="BUSY"}': 1,
      conclave_engine_step_failures_total: 1,
      conclave_bus_connected: 0,
      conclave_plan_epoch: 7,
      conclave_expert_slots: 3,
      conclave_expert_bytes: 4_096,
      conclave_cold_slots: 1,
    });
  });

  it('have so many series and no more, whatever peers and codes there are', async () => {
    const worker = metrics();
    const fill = (from: number, to: number): void => {
      for (let i = from; i < to; i++) {
        worker.dispatched(`w${i}`, 1, 1, 1);
        worker.refused(`CODE_${i}`);
      }
    };
    fill(0, 300);
    const before = (await scraped(worker)).size;
    fill(300, 5_000);
    const values = await scraped(worker);
    expect(values.size).toBe(before);
    expect(values.get('conclave_dispatches_total{peer="other"}')).toBe(5_000 - 256);
    expect(values.get('conclave_shard_refusals_total{code="OTHER"}')).toBe(5_000);
  });
});
