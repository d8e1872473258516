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
