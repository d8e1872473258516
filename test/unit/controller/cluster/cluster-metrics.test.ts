import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { clusterMetrics } from '../../../../controller/cluster/cluster-metrics.ts';
import { certificateMetrics } from '../../../../platform/tls/certificate-metrics.ts';
import type { TlsFiles } from '../../../../platform/tls/tls-source.ts';
import type { GetStatusResponse } from '../../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import { createWorkerMetrics } from '../../../../worker/wiring/metrics.ts';

const ready = 'WORKER_STATE_READY' as const;
const lead = { state: ready, roles: ['stage', 'expert'] };
const expert = { state: ready, roles: ['expert'] };
const status: GetStatusResponse = {
  plan: { epoch: 12, slots: 48 },
  rollout: { phase: 'ROLLOUT_PHASE_LOADING', loadedBytes: 10, totalBytes: 40 },
  workers: [
    { ...lead, id: 's-stage-0', activity: { kvCacheUsageRatio: 0.25, running: 6, waitingTokens: 300 } },
    {
      ...{ ...lead, id: 's-stage-1' },
      activity: { kvCacheUsageRatio: 0.5, running: 2, waitingTokens: 100, prefillTokensPerSecond: 200, busyRatio: 1 },
    },
    { ...expert, id: 'hot-expert-0', activity: { busyRatio: 0.9 } },
    { ...expert, id: 'hot-expert-1', activity: { busyRatio: 0.7 } },
    { ...expert, id: 'cold-expert-10', activity: { busyRatio: 0.2 } },
    { ...expert, id: 'by-hand', activity: { busyRatio: 0.2 } },
    { state: 'WORKER_STATE_LOST' },
  ],
  load: [
    { layer: 0, imbalance: 1.5 },
    { layer: 3, imbalance: 1 },
  ],
  failures: { PEER_LOST: 4 },
  requests: [{ state: 'REQUEST_STATE_PENDING' }, { state: 'REQUEST_STATE_IN_FORCE' }],
  running: 3,
  waiting: 2,
};

function registry(): Registry {
  const made = new Registry();
  const controller = { status: () => status, leads: () => true, obstacles: () => ['no plan'], expertMoves: () => 7 };
  clusterMetrics(made, controller, { state: 'reconnecting', droppedEvents: 2 }, () => ({
    ...{ maxNumSeqs: 8, firstTokenRatio: 0.4 },
  }));
  return made;
}

describe('cluster metrics', () => {
  it('say what status says', async () => {
    const lines = (await registry().metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines).toEqual([
      'conclave_plan_epoch 12',
      'conclave_plan_slots 48',
      'conclave_rollout_state{phase="complete"} 0',
      'conclave_rollout_state{phase="loading"} 1',
      'conclave_rollout_state{phase="rolled_back"} 0',
      'conclave_rollout_loaded_bytes 10',
      'conclave_rollout_total_bytes 40',
      'conclave_workers{state="idle"} 0',
      'conclave_workers{state="loading"} 0',
      'conclave_workers{state="ready"} 6',
      'conclave_workers{state="draining"} 0',
      'conclave_workers{state="drained"} 0',
      'conclave_workers{state="lost"} 1',
      'conclave_workers{state="failed"} 0',
      'conclave_workers{state="unreachable"} 0',
      'conclave_requests_pending 1',
      'conclave_expert_imbalance_ratio{layer="0"} 1.5',
      'conclave_expert_imbalance_ratio{layer="3"} 1',
      'conclave_num_requests_running 3',
      'conclave_num_requests_waiting 2',
      'conclave_stage_saturation_ratio 0.625',
      'conclave_prefill_backlog_seconds 2',
      'conclave_kv_cache_usage_ratio 0.5',
      'conclave_time_to_first_token_target_ratio 0.4',
      'conclave_expert_busy_ratio{pool=""} 0.5',
      'conclave_expert_busy_ratio{pool="hot"} 0.8',
      'conclave_expert_busy_ratio{pool="cold"} 0.2',
      'conclave_ready 0',
      'conclave_controller_leads 1',
      'conclave_bus_connected 0',
      'conclave_bus_dropped_events_total 2',
      'conclave_expert_moves_total 7',
      'conclave_cluster_failures_total{code="PEER_LOST"} 4',
      ...['DEADLINE', 'BUSY', 'REFUSED', 'POISONED', 'COLD_LOAD', 'STEP_FAILED', 'WORKER_LOST'].map(
        (code) => `conclave_cluster_failures_total{code="${code}"} 0`,
      ),
    ]);
  });

  it('are all in the documentation, those of workers too, and it names no others', () => {
    const worker = createWorkerMetrics({
      ...{ bus: () => 'connected', planEpoch: () => 0, slots: () => 0, expertBytes: () => 0, coldSlots: () => 0 },
      busyRatio: () => 0,
      engine: () => null,
    });
    const tls = new Registry();
    certificateMetrics(tls, {} as TlsFiles);
    const made = [registry(), worker.registry, tls].flatMap((each) => each.getMetricsAsArray().map(({ name }) => name));
    const page = readFileSync(join(import.meta.dirname, '../../../../docs/cluster.md'), 'utf8');
    const named = new Set(page.match(/conclave_[a-z_]+/g));
    expect([...named].filter((name) => !made.includes(name))).toEqual([]);
    expect(made.filter((name) => name.startsWith('conclave_') && !named.has(name))).toEqual([]);
  });
});
