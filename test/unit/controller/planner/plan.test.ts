import { describe, expect, test } from 'vitest';
import { type MoeShape, moeSpec } from '../../../../bench/planner/moe-spec.ts';
import { describePlan } from '../../../../controller/planner/describe.ts';
import { diffPlans } from '../../../../controller/planner/diff.ts';
import {
  defaultConstraints,
  type LayoutConstraints,
  type PlanConstraints,
  type PlanInput,
  type PlannerWorker,
} from '../../../../controller/planner/input/input.ts';
import { modelFootprint } from '../../../../controller/planner/input/memory.ts';
import { plan } from '../../../../controller/planner/plan.ts';
import { formatBytes } from '../../../../platform/process/quantities.ts';
import type { ModelSpec, PlacementPlan } from '../../../../proto/messages.ts';
import { withRunningSums } from '../model/running-sums.ts';
import { checkPlan } from './check-plan.ts';

// In bf16: attention 2 * (64 * 64 * 2 + 32 * 64 * 2) = 24576 bytes a layer, an expert 3 * 64 * 32 * 2 = 12288, norms and gate
// 4 * (2 * 64 + 4 * 64) = 1536, embedding and head 2 * 100 * 64 = 12800 each, the final norm 256.
const shape: MoeShape = {
  layers: 4,
  hidden: 64,
  vocab: 100,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  experts: 4,
  topK: 2,
  intermediate: 32,
  sharedIntermediate: 0,
  qkNorm: 'QK_NORM_UNSPECIFIED',
};
const layerBytes = 24_576 + 1_536;
const expertBytes = 12_288;
const endBytes = 12_800 + 12_800 + 256;
const stageBytes = 4 * layerBytes + endBytes;

function worker(id: string, roles: string, memoryBytes: number, node = 'n'): PlannerWorker {
  return { id, address: `${id}:1`, node, roles: roles.split(','), memoryBytes, cores: 1, device: 'cpu' };
}

function inputOf(workers: readonly PlannerWorker[], more: Partial<PlanInput> = {}): PlanInput {
  return {
    spec: moeSpec(shape),
    weights: 'bf16',
    workers,
    load: null,
    constraints: defaultConstraints,
    constraintsRevision: 0,
    term: 1,
    previous: null,
    reason: 'test',
    ...more,
  };
}

function constrain(layout: Partial<LayoutConstraints>, more: Partial<PlanConstraints> = {}): PlanConstraints {
  return { ...defaultConstraints, ...more, layout: { ...defaultConstraints.layout, ...layout } };
}

function planned(input: PlanInput): PlacementPlan {
  const result = plan(input);
  if (result.kind !== 'planned') throw new Error(result.problems.join('\n'));
  checkPlan(result.plan, input);
  return result.plan;
}

function problems(input: PlanInput): readonly string[] {
  const result = plan(input);
  return result.kind === 'infeasible' ? result.problems : [];
}

/** "layers first-last: worker worker" per stage. */
function stages(result: PlacementPlan): string[] {
  return result.pipelines.flatMap((pipeline) =>
    pipeline.stages.map((stage) => {
      const ranks = stage.ranks.map(({ worker }) => result.workers[worker]!.id);
      return `${pipeline.id} ${stage.firstLayer}-${stage.endLayer - 1}: ${ranks.join(' ')}`;
    }),
  );
}

/** "expert.slice@worker" per slot of a layer. */
function slots(result: PlacementPlan, layer: number): string[] {
  const placement = result.experts.find((entry) => entry.layer === layer)!;
  return placement.expert.map((e, i) => `${e}.${placement.slice[i]}@${result.workers[placement.worker[i]!]!.id}`);
}

test('footprints count the bytes that each part takes in each format', () => {
  const shared = moeSpec({ ...shape, sharedIntermediate: 48 });
  const nothing = { commonKvBytesPerToken: 0, stateBytesPerSequence: 0, commonStateBytesPerSequence: 0, entries: null };
  const undivided = { ...nothing, commonBytes: 0, inseparable: false };
  expect(modelFootprint(shared, 'bf16').layers[0]).toEqual({
    shared: [
      { ...undivided, heads: 2, weightBytes: 24_576, kvBytesPerToken: 2 * 2 * 16 * 2 },
      { ...undivided, heads: null, weightBytes: 3 * 64 * 48 * 2, kvBytesPerToken: 0 },
    ],
    residentBytes: 1_536,
    experts: { count: 4, bytes: expertBytes, intermediate: 32, topK: 2 },
    withPrevious: false,
  });
  // 36 bytes per group of 32; rows of the down projection's 48 columns take two groups.
  expect(modelFootprint(shared, 'q8').layers[0]?.shared[1]?.weightBytes).toBe(48 * 2 * 36 * 2 + 64 * 2 * 36);
  expect(modelFootprint(shared, 'f32').layers[0]?.shared[0]?.weightBytes).toBe(24_576);
  expect(modelFootprint(shared, 'f32').layers[0]?.shared[0]?.kvBytesPerToken).toBe(2 * 2 * 16 * 4);
});

/** A model some of whose layers read what those before left. */
function together(reading: readonly number[]): ModelSpec {
  const spec = moeSpec(shape);
  return { ...spec, layers: spec.layers.map((layer, i) => ({ ...layer, withPrevious: reading.includes(i) })) };
}

test('stages are cut where no layer reads what those before left', () => {
  const workers = [worker('a', 'stage', 1e6), worker('b', 'stage', 1e6)];
  const constraints = constrain({ pipelineParallelSize: 2 });
  for (const [reading, cut] of [[[2], 3] as const, [[1, 2], 3] as const, [[1, 3], 2] as const]) {
    const cuts = stages(planned(inputOf(workers, { spec: together(reading), constraints })));
    expect(cuts.map((stage) => stage.slice(0, 'p0 0-0'.length))).toEqual([`p0 0-${cut - 1}`, `p0 ${cut}-3`]);
  }
});

test('states of sequences are counted beside blocks, and said', () => {
  const spec = withRunningSums(moeSpec(shape), [1, 2]);
  const constraints = constrain({ tensorParallelSize: 2 }, { kvBlocks: 3, blockSize: 8, stateSlots: 5 });
  const workers = [worker('a', 'stage', 1e6), worker('b', 'stage', 1e6)];
  const result = planned(inputOf(workers, { spec, constraints }));
  // Of 4 layers two keep keys and values of 2 heads of 16 in bf16, two a state of 4 heads of 16 in f32; each rank has half.
  const each = 2 * (3 * 8 * 2 * 16 * 2) + 2 * (5 * 2 * 16 * 4);
  expect(result.pipelines[0]?.stages[0]?.ranks.map(({ cacheBytes }) => cacheBytes)).toEqual([each, each]);
  expect(describePlan(result, null)).toContain('pipeline p0 (cache 3 blocks of 8 positions, states of 5 sequences)');
  expect(diffPlans(null, result).workers[0]?.ranks?.after).toEqual([
    'p0/0/0 layers 0-3 part 1 of 2 3 blocks of 8, 5 states',
  ]);
  const tight = workers.map((each, i) => ({ ...each, memoryBytes: (result.workers[i]?.weightBytes ?? 0) + 100 }));
  expect(problems(inputOf(tight, { spec, constraints }))).not.toEqual([]);
});

test('one worker holds everything', () => {
  const result = planned(inputOf([worker('w', 'stage', 1e6)]));
  expect(result).toMatchObject({ epoch: 1, model: 'shape', weights: 'bf16', term: 1, reason: 'test', blockSize: 16 });
  expect(result.workers).toEqual([{ id: 'w', address: 'w:1', weightBytes: stageBytes + 4 * 4 * expertBytes }]);
  expect(stages(result)).toEqual(['p0 0-3: w']);
  expect(result.pipelines[0]?.stages[0]?.ranks[0]).toEqual({
    worker: 0,
    share: { begin: 0, end: 1, parts: 1 },
    cacheBytes: 0,
  });
  expect(slots(result, 3)).toEqual(['0.0@w', '1.0@w', '2.0@w', '3.0@w']);
});

test('a dense model has no slots', () => {
  const input = inputOf([worker('w', 'stage,expert', 1e6)], { spec: moeSpec({ ...shape, experts: 0 }) });
  expect(planned(input).experts).toEqual([]);
});

test('experts go to workers with that role, evenly in every layer', () => {
  const input = inputOf([worker('s', 'stage', 1e6), worker('a', 'expert', 1e6), worker('b', 'expert', 1e6)]);
  const result = planned(input);
  expect(stages(result)).toEqual(['p0 0-3: s']);
  for (let layer = 0; layer < 4; layer++) {
    const holders = slots(result, layer).map((slot) => slot.split('@')[1]!);
    expect(holders.sort()).toEqual(['a', 'a', 'b', 'b']);
  }
});

test('replicas stand on distinct workers, and on distinct nodes where there are some', () => {
  const result = planned(
    inputOf(
      [
        worker('s', 'stage', 1e6),
        worker('a1', 'expert', 1e6, 'a'),
        worker('a2', 'expert', 1e6, 'a'),
        worker('b1', 'expert', 1e6, 'b'),
        worker('b2', 'expert', 1e6, 'b'),
      ],
      { constraints: { ...defaultConstraints, defaultReplicas: 2 } },
    ),
  );
  for (let layer = 0; layer < 4; layer++) {
    for (let expert = 0; expert < 4; expert++) {
      const nodes = slots(result, layer)
        .filter((slot) => slot.startsWith(`${expert}.`))
        .map((slot) => slot.split('@')[1]!.slice(0, 1));
      expect(nodes.sort()).toEqual(['a', 'b']);
    }
  }
});

test('overrides and hot experts get more replicas', () => {
  const workers = [worker('s', 'stage', 1e6), ...['a', 'b', 'c'].map((id) => worker(id, 'expert', 1e6))];
  const count = (result: PlacementPlan, layer: number) =>
    [0, 1, 2, 3].map((e) => slots(result, layer).filter((slot) => slot.startsWith(`${e}.`)).length);
  const overridden = planned(
    inputOf(workers, { constraints: { ...defaultConstraints, overrides: [{ layer: 1, expert: 2, replicas: 3 }] } }),
  );
  expect(count(overridden, 0)).toEqual([1, 1, 1, 1]);
  expect(count(overridden, 1)).toEqual([1, 1, 3, 1]);
  const hot = planned(
    inputOf(workers, {
      constraints: { ...defaultConstraints, redundancy: 0.5 },
      load: [{ layer: 2, expertRows: [100, 10, 10, 10] }],
    }),
  );
  expect(count(hot, 0), 'nothing is known of layer 0').toEqual([1, 1, 1, 1]);
  expect(count(hot, 2)).toEqual([3, 1, 1, 1]);
});

test('layers are split over stages by memory and speed', () => {
  // Each can hold half of the layers and one end.
  const half = 2 * layerBytes + 12_800 + 256;
  const pair = [worker('a', 'stage', half), worker('b', 'stage', half), worker('e', 'expert', 1e6)];
  expect(stages(planned(inputOf(pair)))).toEqual(['p0 0-1: a', 'p0 2-3: b']);
  const uneven = [
    { ...worker('a', 'stage', 1e6), cores: 3 },
    { ...worker('b', 'stage', 1e6), cores: 1 },
    worker('e', 'expert', 1e6),
  ];
  const constraints = constrain({ pipelineParallelSize: 2 });
  expect(stages(planned(inputOf(uneven, { constraints })))).toEqual(['p0 0-2: a', 'p0 3-3: b']);
});

test('tensor-parallel ranks take contiguous heads, on one node where one has enough workers', () => {
  const workers = [
    worker('a1', 'stage', 2e6, 'a'),
    worker('b1', 'stage', 1e6, 'b'),
    worker('b2', 'stage', 1e6, 'b'),
    worker('e', 'expert', 1e6, 'a'),
  ];
  const result = planned(inputOf(workers, { constraints: constrain({ tensorParallelSize: 2 }) }));
  expect(stages(result)).toEqual(['p0 0-3: b1 b2']);
  expect(result.pipelines[0]?.stages[0]?.ranks.map((rank) => ({ ...rank, worker: 0 }))).toEqual([
    { worker: 0, share: { begin: 0, end: 1, parts: 2 }, cacheBytes: 0 },
    { worker: 0, share: { begin: 1, end: 2, parts: 2 }, cacheBytes: 0 },
  ]);
});

test('several pipelines stand on distinct workers', () => {
  const workers = ['a', 'b', 'c'].map((id) => worker(id, 'stage,expert', 1e6));
  const result = planned(inputOf(workers, { constraints: constrain({ pipelines: 2 }) }));
  expect(stages(result)).toEqual(['p0 0-3: a', 'p1 0-3: b']);
});

test('without expert workers every pipeline holds its own experts, those of its layers on each stage', () => {
  const workers = ['a', 'b', 'c', 'd'].map((id) => worker(id, 'stage', 1e6));
  const result = planned(inputOf(workers, { constraints: constrain({ pipelines: 2, pipelineParallelSize: 2 }) }));
  expect(stages(result)).toEqual(['p0 0-1: a', 'p0 2-3: b', 'p1 0-1: c', 'p1 2-3: d']);
  expect(slots(result, 0).filter((slot) => slot.startsWith('0.'))).toEqual(['0.0@a', '0.0@c']);
  expect(slots(result, 3).filter((slot) => slot.startsWith('0.'))).toEqual(['0.0@b', '0.0@d']);
});

test('an expert that fits on no worker is sliced, on distinct workers', () => {
  // Room for 4 layers * 4 experts * 2 slices over 4 workers: 8 slices of 6144 bytes each, less than one expert at a time.
  const small = ['a', 'b', 'c', 'd'].map((id) => worker(id, 'expert', 8 * (expertBytes / 2)));
  const spec = moeSpec({ ...shape, layers: 1, experts: 2 });
  const tiny = ['a', 'b', 'c', 'd'].map((id) => worker(id, 'expert', expertBytes - 1));
  const result = planned(inputOf([worker('s', 'stage', 1e6), ...tiny], { spec }));
  expect(slots(result, 0).map((slot) => slot.split('@')[0])).toEqual(['0.0', '0.1', '1.0', '1.1']);
  expect(new Set(slots(result, 0).map((slot) => slot.split('@')[1])).size).toBe(4);
  const asked = inputOf([worker('s', 'stage', 1e6), ...small], {
    constraints: constrain({ expertTensorParallelSize: 2 }),
  });
  for (const placement of planned(asked).experts) {
    expect(placement.slices).toBe(2);
    for (let expert = 0; expert < 4; expert++) {
      const holders = placement.worker.filter((_, i) => placement.expert[i] === expert);
      expect(new Set(holders).size).toBe(2);
    }
  }
});

describe('replanning', () => {
  const workers = [
    worker('s', 'stage', 1e6),
    worker('t', 'stage', 1e6),
    ...['a', 'b', 'c', 'd'].map((id) => worker(id, 'expert', 1e6)),
  ];
  const before = planned(inputOf(workers));

  test('a drained worker holds nothing, and only its slots move', () => {
    const after = planned(
      inputOf(workers, { constraints: { ...defaultConstraints, draining: ['b'] }, previous: before }),
    );
    expect(after.epoch).toBe(2);
    const { workers: changes, loads, unloads } = diffPlans(before, after);
    expect(loads).toBe(4);
    expect(unloads).toBe(4);
    expect(changes.find((change) => change.id === 'b')?.unload.length).toBe(4);
    expect(changes.every((change) => change.ranks === null)).toBe(true);
  });

  test('a lost stage worker is replaced and no expert moves', () => {
    const left = workers.filter(({ id }) => id !== 's');
    const after = planned(inputOf(left, { previous: before }));
    expect(stages(after)).toEqual(['p0 0-3: t']);
    expect(diffPlans(before, after).loads).toBe(0);
  });

  test('a stage stays where it is when a larger worker joins', () => {
    const after = planned(inputOf([...workers, worker('big', 'stage', 1e9)], { previous: before }));
    expect(after).toBe(before);
  });

  test('a new address, constraints revision or weights format is a new plan', () => {
    const moved = workers.map((w) => (w.id === 'a' ? { ...w, address: 'a:2' } : w));
    expect(planned(inputOf(moved, { previous: before })).epoch).toBe(2);
    expect(planned(inputOf(workers, { previous: before, constraintsRevision: 7 }))).toMatchObject({
      epoch: 2,
      constraintsRevision: 7,
    });
    expect(planned(inputOf(workers, { previous: before, weights: 'q8' }))).toMatchObject({ epoch: 2, weights: 'q8' });
  });

  test('checksums stay with their layers', () => {
    const checked = { ...before, experts: before.experts.map((p) => ({ ...p, checksums: [1, 2, 3, 4] })) };
    expect(planned(inputOf(workers, { previous: checked }))).toBe(checked);
    const after = planned(inputOf(workers.slice(0, -1), { previous: checked }));
    expect(after.experts.map((placement) => placement.checksums)).toEqual(checked.experts.map((p) => p.checksums));
  });
});

describe('weights that a device cannot keep', () => {
  const gpu = { ...worker('g', 'stage,expert', 1e9), device: 'cuda:0', weightsFormats: ['f32', 'bf16'] };

  test('are given to other workers, and the one that gets nothing is named', () => {
    const workers = [gpu, worker('c', 'stage,expert', 1e9)];
    const result = plan(inputOf(workers, { weights: 'q8' }));
    if (result.kind === 'infeasible') throw new Error(result.problems.join());
    expect(result.plan.workers.map(({ id }) => id)).toEqual(['c']);
    expect(result.shortfalls).toEqual([
      'worker "g" gets nothing: its device, cuda:0, keeps weights as f32 or bf16, not as q8',
    ]);
  });

  test('make a plan impossible where there is no other worker', () => {
    expect(plan(inputOf([gpu], { weights: 'q8' }))).toMatchObject({
      kind: 'infeasible',
      problems: expect.arrayContaining([expect.stringContaining('keeps weights as f32 or bf16, not as q8')]),
    });
  });

  test('are no matter where it keeps them', () => {
    const result = plan(inputOf([gpu]));
    expect(result).toMatchObject({ kind: 'planned', shortfalls: [] });
  });
});

describe('what does not fit', () => {
  test.each<[string, PlanInput, readonly (string | RegExp)[]]>([
    ['no workers', inputOf([]), ['pipeline p0 needs 1 workers that may hold stages (1 stages of 1 ranks); 0 are free']],
    [
      'a stage too large for every worker',
      inputOf([worker('a', 'stage', 100_000), worker('e', 'expert', 1e6)]),
      [
        `needs ${formatBytes(stageBytes)} for stage layers 0-3 of pipeline p0 on one worker (weights ${formatBytes(stageBytes)}, cache 0 B); worker "a" has 97.7 KiB, the largest has 97.7 KiB`,
      ],
    ],
    [
      'stages that are all too large',
      inputOf([worker('a', 'stage', 50_000), worker('b', 'stage', 50_000), worker('e', 'expert', 1e6)]),
      [/needs .* for stage layers 0-1 .* worker "a" has 48.8 KiB/, /needs .* for stage layers 2-3 .* worker "b"/],
    ],
    [
      'cache too large',
      inputOf([worker('a', 'stage', stageBytes), worker('e', 'expert', 1e6)], {
        constraints: { ...defaultConstraints, kvBlocks: 1 },
      }),
      [
        `needs ${formatBytes(stageBytes + 16 * 4 * 128)} for stage layers 0-3 of pipeline p0 on one worker (weights ${formatBytes(stageBytes)}, cache 8 KiB); worker "a" has ${formatBytes(stageBytes)}, the largest has ${formatBytes(stageBytes)}`,
      ],
    ],
    [
      'experts that do not fit',
      inputOf([worker('a', 'stage', 1e6), worker('e', 'expert', 10 * expertBytes)]),
      [
        'the experts of layers 0-3 need 192 KiB for one replica of each; the 1 workers that may hold them have room for 120 KiB beside stages and cache: 72 KiB are missing',
      ],
    ],
    [
      'slices that do not fit',
      inputOf([worker('a', 'stage', 1e6), worker('e', 'expert', 5_000)], {
        constraints: constrain({ expertTensorParallelSize: 2 }),
      }),
      [0, 1, 2, 3].map(
        (l) =>
          `each of 2 slices of an expert of layer ${l} needs 6 KiB on one worker; the largest room for experts is 4.88 KiB`,
      ),
    ],
    [
      'slices that do not divide the expert',
      inputOf([worker('a', 'stage', 1e6)], { constraints: constrain({ expertTensorParallelSize: 3 }) }),
      [0, 1, 2, 3].map(
        (l) => `expert-tensor-parallel size 3 does not divide the intermediate dimension 32 of layer ${l}'s experts`,
      ),
    ],
    [
      'more ranks than key/value heads',
      inputOf([worker('a', 'stage', 1e6)], { constraints: constrain({ tensorParallelSize: 4 }) }),
      ['tensor-parallel size 4: layer 0 has 2 heads for ranks to share, and every rank needs at least one'],
    ],
    [
      'heads that are normalised together',
      inputOf([worker('a', 'stage', 1e6), worker('b', 'stage', 1e6)], {
        spec: moeSpec({ ...shape, qkNorm: 'QK_NORM_FULL_WIDTH' }),
        constraints: constrain({ tensorParallelSize: 2 }),
      }),
      [
        'tensor-parallel size 2: what each head of layer 0 needs is made of all of them or of another layer, so that ranks cannot share them; use 1',
      ],
    ],
    [
      'more stages than layers',
      inputOf([worker('a', 'stage', 1e6)], { constraints: constrain({ pipelineParallelSize: 5 }) }),
      ['pipeline-parallel size 5: the model has 4 layers'],
    ],
    [
      'more stages than layers that stay together allow',
      inputOf([worker('a', 'stage', 1e6)], {
        spec: together([2]),
        constraints: constrain({ pipelineParallelSize: 4 }),
      }),
      ['pipeline-parallel size 4: the model has 4 layers, some of which read what others left; use up to 3'],
    ],
    [
      'more pipelines than workers',
      inputOf([worker('a', 'stage', 1e6), worker('e', 'expert', 1e6)], { constraints: constrain({ pipelines: 2 }) }),
      ['pipeline p1 needs 1 workers that may hold stages (1 stages of 1 ranks); 0 are free'],
    ],
    [
      'nonsense, all of it at once',
      inputOf([worker('a', 'stage', 1e6), worker('a', 'stage', -1)], {
        constraints: {
          ...constrain({ tensorParallelSize: 0 }),
          defaultReplicas: 1.5,
          overrides: [
            { layer: 9, expert: 0, replicas: 1 },
            { layer: 0, expert: 4, replicas: 0 },
          ],
        },
        load: [{ layer: 0, expertRows: [1, Number.NaN] }],
      }),
      [
        'constraints.layout.tensorParallelSize: expected an integer ≥ 1, got 0',
        'constraints.defaultReplicas: expected an integer ≥ 1, got 1.5',
        'constraints.overrides[0].layer: expected a layer with experts, got 9',
        'constraints.overrides[1].expert: expected an expert below 4, got 4',
        'constraints.overrides[1].replicas: expected an integer ≥ 1, got 0',
        'workers[1].id: expected an id of its own, got "a"',
        'workers[1].memoryBytes: expected a number of bytes, got -1',
        'load of layer 0, expert 1: expected a number of rows ≥ 0, got null',
      ],
    ],
  ])('%s', (_, input, expected) => {
    const found = problems(input);
    expect(found.length, found.join('\n')).toBe(expected.length);
    expected.forEach((problem, i) => {
      if (typeof problem === 'string') expect(found[i]).toBe(problem);
      else expect(found[i]).toMatch(problem);
    });
  });

  test('replicas that do not fit are left out and said to be', () => {
    const workers = [worker('s', 'stage', 1e6), ...['a', 'b'].map((id) => worker(id, 'expert', 12 * expertBytes))];
    const shortfalls = (defaultReplicas: number) => {
      const short = plan(inputOf(workers, { constraints: { ...defaultConstraints, defaultReplicas } }));
      return short.kind === 'planned' && short.shortfalls;
    };
    expect(shortfalls(2)).toEqual(['8 expert replicas do not fit: 96 KiB are missing']);
    expect(shortfalls(3)).toEqual([
      '3 replicas of an expert need 3 workers for experts; there are 2',
      '8 expert replicas do not fit: 96 KiB are missing',
    ]);
  });
});

test('a plan reads well', () => {
  const workers = [
    worker('s1', 'stage', 1e6),
    worker('s2', 'stage', 1e6),
    worker('a', 'expert', 1e6),
    worker('b', 'expert', 1e6),
  ];
  const constraints = constrain({ pipelineParallelSize: 2 }, { kvBlocks: 100, defaultReplicas: 2 });
  const result = planned(inputOf(workers, { constraints }));
  expect(describePlan(result, null)).toBe(
    [
      'plan 1 of shape (weights bf16; test)',
      '',
      'pipeline p0 (cache 100 blocks of 16 positions)',
      '  layers 0-1  s1',
      '  layers 2-3  s2',
      '',
      '32 slots in 4 layers on 2 workers',
      '  replicas of experts: 16 x 2',
      '  expected load, busiest worker over mean: 1.00 in all, 1.00 within a layer (1.00 at best)',
      '',
      'worker     weights   slots  address',
      'a          192 KiB      16  a:1',
      'b          192 KiB      16  b:1',
      's1        63.5 KiB       0  s1:1',
      's2        63.8 KiB       0  s2:1',
    ].join('\n'),
  );
});
