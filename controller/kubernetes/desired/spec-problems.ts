import type { MoEModel } from '../resources/moe-model.ts';
import { quantity } from '../resources/quantity.ts';
import type { Controllers } from './controllers.ts';
import type { WorkerSet } from './worker-set.ts';

/** What of a set makes no sense, with its path. */
export function setProblems(set: WorkerSet, path: string, { options }: Controllers): readonly string[] {
  const unknown = Object.keys(set.options).filter(
    (name) => !options.ofWorkers.has(name) && !options.ofControllers.has(name),
  );
  const known = Object.entries(set.options).filter(([name]) => options.ofWorkers.has(name));
  return [
    ...unknown.map((name) => `${path}.options.${name}: expected a flag of "conclave worker" or "conclave controller"`),
    ...options.workerProblems(Object.fromEntries(known)).map((problem) => `${path}.options.${problem}`),
    ...quantityProblems(set, path),
  ];
}

function quantityProblems({ memory, resources }: WorkerSet, path: string): readonly string[] {
  const given = [
    ...(memory === null ? [] : [['memory', memory] as const]),
    ...Object.entries(resources.limits ?? {}).map(([key, value]) => [`resources.limits.${key}`, value] as const),
    ...Object.entries(resources.requests ?? {}).map(([key, value]) => [`resources.requests.${key}`, value] as const),
  ];
  return given
    .filter(([, value]) => quantity(value) === null)
    .map(([key, value]) => `${path}.${key}: expected a quantity such as 4Gi, got ${JSON.stringify(value)}`);
}

/** How a model differs from what the controllers run with: what they cannot change while they run. */
export function servedDifferences({ spec }: MoEModel, { running, options }: Controllers): readonly string[] {
  const { layout } = spec;
  const compared: readonly (readonly [string, string | number | null, string | number | null])[] = [
    ['spec.weights', spec.weights, running.weights],
    ['spec.contextLength', spec.contextLength ?? null, running.contextLength],
    ['spec.layout.pipelines', layout.pipelines, running.pipelines],
    ['spec.layout.tensorParallelSize', layout.tensorParallelSize ?? null, running.tensorParallelSize],
    ['spec.layout.pipelineParallelSize', layout.pipelineParallelSize ?? null, running.pipelineParallelSize],
    ['spec.layout.expertTensorParallelSize', layout.expertTensorParallelSize ?? null, running.expertTensorParallelSize],
  ];
  const differing = compared
    .filter(([, asked, runs]) => asked !== runs)
    .map(([path, asked, runs]) => `${path}: ${asked ?? 'not given'}, the controllers run with ${runs ?? 'none given'}`);
  return [...differing, ...options.differences(spec.options).map((text) => `spec.options.${text}`)];
}
