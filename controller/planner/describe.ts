import { formatBytes } from '../../platform/process/quantities.ts';
import type { PlacementPlan } from '../../proto/messages.ts';
import { describeShare } from './diff.ts';
import type { ExpertLoad } from './input/input.ts';
import { expectedBalance } from './slots/balance.ts';

/** Worker lines beyond this many are summed up. */
const workerLines = 64;

/** What `conclave plan` prints: pipelines, bytes and slots per worker, replica histogram, expected balance. */
export function describePlan(plan: PlacementPlan, load: readonly ExpertLoad[] | null): string {
  const sections = [
    [
      `plan ${plan.epoch} of ${plan.model || 'a model without a name'} (weights ${plan.weights}${plan.reason ? `; ${plan.reason}` : ''})`,
    ],
    plan.pipelines.flatMap((pipeline) => describePipeline(plan, pipeline)),
    describeExperts(plan, load),
    describeWorkers(plan),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}

function describePipeline(plan: PlacementPlan, pipeline: PlacementPlan['pipelines'][number]): string[] {
  const states = pipeline.stateSlots > 0 ? `, states of ${pipeline.stateSlots} sequences` : '';
  const cache = `cache ${pipeline.kvBlocks} blocks of ${plan.blockSize} positions${states}`;
  return [
    `pipeline ${pipeline.id} (${cache})`,
    ...pipeline.stages.flatMap((stage) => {
      const layers = `layers ${stage.firstLayer}-${stage.endLayer - 1}`;
      if (stage.ranks.length === 1) return [`  ${layers}  ${plan.workers[stage.ranks[0]!.worker]!.id}`];
      return stage.ranks.map((rank, r) => {
        return `  ${layers}  rank ${r}  ${plan.workers[rank.worker]!.id}  part ${describeShare(rank.share)}`;
      });
    }),
  ];
}

function describeExperts(plan: PlacementPlan, load: readonly ExpertLoad[] | null): string[] {
  if (plan.experts.length === 0) return [];
  const histogram = new Map<number, number>();
  const slices = new Set<number>();
  let slots = 0;
  const workers = new Set<number>();
  for (const placement of plan.experts) {
    const replicas = new Map<number, number>();
    placement.expert.forEach((expert, i) => {
      const id = expert * placement.slices + placement.slice[i]!;
      replicas.set(id, (replicas.get(id) ?? 0) + 1);
      workers.add(placement.worker[i]!);
    });
    for (const count of replicas.values()) histogram.set(count, (histogram.get(count) ?? 0) + 1);
    slices.add(placement.slices);
    slots += placement.expert.length;
  }
  const counts = [...histogram].sort(([a], [b]) => a - b).map(([count, experts]) => `${experts} x ${count}`);
  const what = [...slices].every((count) => count === 1) ? 'experts' : `expert slices (${[...slices].join(', ')} each)`;
  const lines = [`${slots} slots in ${plan.experts.length} layers on ${workers.size} workers`];
  lines.push(`  replicas of ${what}: ${counts.join(', ')}`);
  const balance = expectedBalance(plan, load, workers.size);
  if (balance !== null) {
    const limit = `${balance.layersLimit.toFixed(2)} at best`;
    lines.push(
      `  expected load, busiest worker over mean: ${balance.total.toFixed(2)} in all, ${balance.layers.toFixed(2)} within a layer (${limit})`,
    );
  }
  return lines;
}

function describeWorkers(plan: PlacementPlan): string[] {
  const slots = new Float64Array(plan.workers.length);
  for (const placement of plan.experts) for (const worker of placement.worker) slots[worker]! += 1;
  const ids = plan.workers.map((worker) => worker.id.length);
  const width = Math.max(6, ...ids);
  const lines = plan.workers.map(
    (worker, index) =>
      `${worker.id.padEnd(width)}  ${formatBytes(worker.weightBytes).padStart(10)}  ${String(slots[index]).padStart(6)}  ${worker.address}`,
  );
  const header = `${'worker'.padEnd(width)}  ${'weights'.padStart(10)}  ${'slots'.padStart(6)}  address`;
  if (lines.length <= workerLines) return [header, ...lines];
  const rest = plan.workers.slice(workerLines);
  const bytes = rest.reduce((sum, worker) => sum + worker.weightBytes, 0);
  const restSlots = slots.slice(workerLines).reduce((sum, count) => sum + count, 0);
  return [
    header,
    ...lines.slice(0, workerLines),
    `and ${rest.length} more workers with ${formatBytes(bytes)} and ${restSlots} slots`,
  ];
}
