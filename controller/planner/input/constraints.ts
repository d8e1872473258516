import type { PlanInput } from './input.ts';
import type { ModelFootprint } from './memory.ts';

/** Everything in the input that makes no sense, with its path; whether it can be met is the planner's matter. */
export function constraintProblems(input: PlanInput, model: ModelFootprint): string[] {
  const { constraints, workers } = input;
  const { layout } = constraints;
  const problems: string[] = [];
  const expect = (holds: boolean, path: string, value: unknown, expected: string) => {
    if (!holds) problems.push(`${path}: expected ${expected}, got ${JSON.stringify(value)}`);
  };
  expect(model.layers.length > 0, 'spec.layers', [], 'at least one layer');
  const sizes = ['tensorParallelSize', 'pipelineParallelSize', 'expertTensorParallelSize'] as const;
  for (const size of sizes) {
    expect(
      layout[size] === null || isCount(layout[size]),
      `constraints.layout.${size}`,
      layout[size],
      'an integer ≥ 1',
    );
  }
  expect(isCount(layout.pipelines), 'constraints.layout.pipelines', layout.pipelines, 'an integer ≥ 1');
  const { defaultReplicas, redundancy, kvBlocks, blockSize, stateSlots } = constraints;
  expect(isCount(defaultReplicas), 'constraints.defaultReplicas', defaultReplicas, 'an integer ≥ 1');
  expect(Number.isFinite(redundancy) && redundancy >= 0, 'constraints.redundancy', redundancy, 'a number ≥ 0');
  expect(Number.isInteger(kvBlocks) && kvBlocks >= 0, 'constraints.kvBlocks', kvBlocks, 'an integer ≥ 0');
  expect(isCount(blockSize), 'constraints.blockSize', blockSize, 'an integer ≥ 1');
  expect(Number.isInteger(stateSlots) && stateSlots >= 0, 'constraints.stateSlots', stateSlots, 'an integer ≥ 0');
  constraints.overrides.forEach(({ layer, expert, replicas }, i) => {
    const path = `constraints.overrides[${i}]`;
    const count = model.layers[layer]?.experts?.count ?? 0;
    expect(count > 0, `${path}.layer`, layer, 'a layer with experts');
    expect(
      count === 0 || (Number.isInteger(expert) && expert >= 0 && expert < count),
      `${path}.expert`,
      expert,
      `an expert below ${count}`,
    );
    expect(isCount(replicas), `${path}.replicas`, replicas, 'an integer ≥ 1');
  });
  const seen = new Set<string>();
  workers.forEach((worker, i) => {
    const path = `workers[${i}]`;
    expect(worker.id !== '' && !seen.has(worker.id), `${path}.id`, worker.id, 'an id of its own');
    seen.add(worker.id);
    const { memoryBytes } = worker;
    expect(Number.isFinite(memoryBytes) && memoryBytes >= 0, `${path}.memoryBytes`, memoryBytes, 'a number of bytes');
  });
  for (const entry of input.load ?? []) {
    const bad = entry.expertRows.findIndex((rows) => !Number.isFinite(rows) || rows < 0);
    expect(bad < 0, `load of layer ${entry.layer}, expert ${bad}`, entry.expertRows[bad], 'a number of rows ≥ 0');
  }
  return problems;
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 1;
}
