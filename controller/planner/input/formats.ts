import type { PlannerWorker } from './input.ts';

/** Whether a worker can keep weights in a format; "auto" stands for sizes alone. */
export function keepsFormat({ weightsFormats = [] }: PlannerWorker, weights: string): boolean {
  return weights === 'auto' || weightsFormats.length === 0 || weightsFormats.includes(weights);
}

/** Why workers get nothing of a model with such weights, one line each. */
export function formatProblems(workers: readonly PlannerWorker[], weights: string): readonly string[] {
  return workers
    .filter((worker) => !keepsFormat(worker, weights))
    .map(
      ({ id, device, weightsFormats = [] }) =>
        `worker "${id}" gets nothing: its device, ${device}, keeps weights as ${weightsFormats.join(' or ')}, not as ${weights}`,
    );
}
