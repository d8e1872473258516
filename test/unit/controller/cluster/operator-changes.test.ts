import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { managedChanges } from '../../../../controller/cluster/control/managed-changes.ts';
import {
  cordon,
  drain,
  type OperatorChangesOptions,
  scale,
} from '../../../../controller/cluster/control/operator-changes.ts';
import { planConstraints } from '../../../../controller/cluster/leader/plan-constraints.ts';
import { ExpertLoadBook } from '../../../../controller/cluster/load/expert-load.ts';
import { noConstraints } from '../../../../controller/cluster/requests/constraints.ts';
import { compileModel } from '../../../../controller/model/compile.ts';
import { defaultConstraints } from '../../../../controller/planner/input/input.ts';
import { plan } from '../../../../controller/planner/plan.ts';
import { MemoryBus } from '../../../../platform/bus/memory-bus.ts';
import { CONSTRAINTS } from '../../../../platform/bus/subjects.ts';
import type { ClusterView } from '../../../../platform/membership/cluster-view.ts';
import { systemClock } from '../../../../platform/process/clock.ts';
import { conclave, decode, encode, type PlacementPlan } from '../../../../proto/messages.ts';
import { expertCount } from '../../../../proto/model/operators.ts';

const { spec } = await compileModel(join(import.meta.dirname, '../../../fixtures/golden/mixtral'));
const layer = spec.layers.findIndex((layout) => expertCount(layout) > 0);
const experts = spec.layers.reduce((sum, layout) => sum + expertCount(layout), 0);

let bus: MemoryBus;
beforeEach(() => {
  bus = new MemoryBus({ clock: systemClock, onError: (error) => expect.fail(error) });
});
afterEach(() => bus.close());

function worker(id: string) {
  const roles = id.startsWith('s') ? ['stage'] : ['expert'];
  const given = { id, address: `${id}:1`, node: id, roles, memoryBytes: 2 ** 28, cores: 1, startedAtMs: 1 };
  return [id, decode(conclave.WorkerAnnouncement, encode(conclave.WorkerAnnouncement, given))] as const;
}

/** Operators before a cluster whose leader plans at once; `keeping`: workers that failed and get nothing new. */
async function rig(ids: readonly string[], keeping: readonly string[] = []) {
  const control = await bus.bucket('control');
  const view = {
    target: null as PlacementPlan | null,
    workers: new Map(ids.map(worker)),
    constraints: null as ClusterView['constraints'],
    lease: null,
  };
  const baseConstraints = { ...defaultConstraints, kvBlocks: 16, blockSize: 4 };
  const planFor: OperatorChangesOptions['planFor'] = (asked, constraintsRevision, reason) =>
    plan({
      ...{ spec, weights: 'f32', workers: [...view.workers.values()], load: null, term: 1 },
      ...{ previous: view.target, reason, constraintsRevision },
      constraints: planConstraints({ spec, baseConstraints, leastKvBlocks: 4, view }, asked, { leaving: [], keeping }),
    });
  const replan = (): void => {
    const result = planFor(view.constraints?.value ?? null, view.constraints?.revision ?? 0, '');
    if (result.kind === 'planned') view.target = result.plan;
  };
  control.watch(({ key, value, revision }) => {
    if (key !== CONSTRAINTS || value === null) return;
    view.constraints = { value: decode(conclave.ClusterConstraints, value), revision };
    replan();
  });
  replan();
  const load = new ExpertLoadBook(spec);
  const options: OperatorChangesOptions = {
    ...{ spec, weights: 'f32', defaultReplicas: 1, control, load, planFor, wallClock: () => 5 },
    view: view as unknown as ClusterView,
  };
  return { view, load, options };
}

const all = (replicas: number, dryRun = false) => ({ replicas, dryRun, target: 'all' as const, all: true });
const hot = (count: number) => ({ replicas: 2, dryRun: false, target: 'hot' as const, hot: count });

describe('operators', () => {
  it('are remembered, with what they changed', async () => {
    const { view, options } = await rig(['s1', 'a', 'b']);
    const { epoch, asked } = await scale(all(2), 'ada', options);
    expect(epoch).toBe(view.target?.epoch);
    expect(asked).toEqual({ by: 'ada', atMs: 5, replacedRevision: 0 });
    expect(view.constraints?.value).toMatchObject({
      defaultReplicas: 2,
      defaultAsked: { by: 'ada' },
      changes: [{ what: 'scale replicas 1 → 2', asked: { by: 'ada' } }],
    });
    await scale({ replicas: 1, dryRun: false, target: 'expert', expert: { layer, expert: 1 } }, 'eve', options);
    await cordon({ workerId: 'a', cancel: false }, 'eve', options);
    expect(view.constraints?.value.changes.map(({ what }) => what).slice(1)).toEqual([
      `scale replicas of layer ${layer} expert 1 2 → 1`,
      'cordon a',
    ]);
  });

  it('change nothing when they ask for what stands', async () => {
    const { view, options } = await rig(['s1', 'a', 'b']);
    await cordon({ workerId: 'a', cancel: false }, 'ada', options);
    const before = view.constraints;
    expect(await cordon({ workerId: 'a', cancel: false }, 'eve', options)).toMatchObject({ asked: null });
    expect(await drain({ workerId: 'b', cancel: true, dryRun: false }, 'eve', options)).toMatchObject({ asked: null });
    expect(view.constraints).toBe(before);
  });

  it('take a drain back by uncordon, of a worker that is gone too', async () => {
    const { view, options } = await rig(['s1', 'a', 'b']);
    await drain({ workerId: 'b', cancel: false, dryRun: false }, 'ada', options);
    view.workers.delete('b');
    await cordon({ workerId: 'b', cancel: true }, 'ada', options);
    expect(view.constraints?.value.draining).toEqual([]);
    await expect(cordon({ workerId: 'b', cancel: false }, 'ada', options)).rejects.toThrow(
      'no worker "b"; there are: a, s1',
    );
  });

  it('are refused what no plan gives, or takes from what there is', async () => {
    const { view, options } = await rig(['s1', 'a', 'b']);
    await expect(scale(all(3), 'ada', options)).rejects.toThrow('3 replicas of an expert need 3 workers');
    await scale(all(2), 'ada', options);
    const asked = view.constraints;
    await expect(drain({ workerId: 'b', cancel: false, dryRun: false }, 'eve', options)).rejects.toThrow('there is 1');
    expect(view.constraints).toBe(asked);
  });

  it('are not hindered by what others asked for and has to wait', async () => {
    const { view, options } = await rig(['s1', 'a', 'b']);
    await scale(all(2), 'ada', options);
    view.workers.delete('b'); // Now one replica of each is all that can be.
    await scale({ replicas: 1, dryRun: false, target: 'expert', expert: { layer, expert: 0 } }, 'eve', options);
    await cordon({ workerId: 'a', cancel: false }, 'eve', options);
    await expect(scale(all(3), 'eve', options)).rejects.toThrow('3 replicas of an expert need 3 workers');
    expect(view.constraints?.value.defaultReplicas).toBe(2);
  });

  it('see what would happen, and nothing does', async () => {
    const { view, options } = await rig(['s1', 'a', 'b']);
    const { target } = view;
    const { epoch, preview } = await scale(all(2, true), 'ada', options);
    expect([epoch, preview?.refusals, preview?.shortfalls]).toEqual([0, [], []]);
    const workers = preview?.workers ?? [];
    expect(workers.map(({ workerId }) => workerId)).toEqual(['a', 'b']);
    expect(workers.reduce((sum, { loads }) => sum + (loads ?? 0), 0)).toBe(experts);
    expect(workers.every(({ loads, loadBytes }) => Number(loadBytes) / Number(loads) > 1_000)).toBe(true);
    const refused = await scale(all(3, true), 'ada', options);
    expect(refused.preview?.refusals).toEqual(refused.preview?.shortfalls);
    expect([view.target, view.constraints ?? noConstraints]).toEqual([target, noConstraints]);
  });

  it('see which experts are the busiest, and may not name more than there are', async () => {
    const { load, options } = await rig(['s1', 'a', 'b']);
    await expect(scale(hot(1), 'ada', options)).rejects.toThrow('no load was measured yet');
    const expertRows = Array.from({ length: expertCount(spec.layers[layer]) }, (_, expert) => [0, 10, 30][expert] ?? 0);
    load.add({ workerId: 's1', seconds: 1, layers: [{ layer, expertRows }], activity: null });
    expect((await scale(hot(2), 'ada', options)).experts).toEqual([
      { layer, expert: 2, rowsPerSecond: 30 },
      { layer, expert: 1, rowsPerSecond: 10 },
    ]);
    await expect(scale(hot(3), 'ada', options)).rejects.toThrow(`only 2 of the ${experts} experts were asked for`);
    for (const count of [0, experts + 1, 10_000]) {
      await expect(scale(hot(count), 'ada', options)).rejects.toThrow(`hot: expected 1 to ${experts}`);
    }
  });
});

describe('changes for objects of Kubernetes', () => {
  const by = 'operator (ExpertPool/a)';

  it('ask for counts that nobody can give yet', async () => {
    const { view, options } = await rig(['s1', 'a', 'b']);
    const overrides = [{ replicas: 2, experts: [{ layer, expert: 1 }] }];
    await managedChanges(options).askReplicas({ default: 9, overrides }, by);
    expect(view.constraints?.value).toMatchObject({
      defaultReplicas: 9,
      overrides,
      changes: [{ what: `scale replicas to 9 replicas of every expert, 2 of layer ${layer} expert 1`, asked: { by } }],
    });
  });

  it('drain a worker once, and take that back', async () => {
    const { view, options } = await rig(['s1', 'a', 'b']);
    const changes = managedChanges(options);
    await changes.drain('b', by);
    await changes.drain('b', 'operator (ExpertPool/other)');
    expect(view.constraints?.value.draining).toMatchObject([{ workerId: 'b', asked: { by } }]);
    await changes.undrain('b', by);
    await changes.undrain('b', by);
    expect(view.constraints?.value.draining).toEqual([]);
    expect(view.constraints?.value.changes).toHaveLength(2);
  });

  it('know what a drain would take away, without asking for it', async () => {
    const { view, options } = await rig(['s1', 'a', 'b']);
    await scale(all(2), 'ada', options);
    const changes = managedChanges(options);
    expect(changes.drainRefusals('b').join()).toMatch(/replicas/);
    expect(view.constraints?.value.draining).toEqual([]);
    await scale(all(1), 'ada', options);
    expect(changes.drainRefusals('b')).toEqual([]);
  });
});
