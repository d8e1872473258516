import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryBus } from '../../../../platform/bus/memory-bus.ts';
import { COMMITTED_PLAN, CONSTRAINTS, LEASE, MEMBER_KEY, TARGET_PLAN } from '../../../../platform/bus/subjects.ts';
import { ClusterView } from '../../../../platform/membership/cluster-view.ts';
import { MemberKeys } from '../../../../platform/membership/membership.ts';
import { systemClock } from '../../../../platform/process/clock.ts';
import { conclave, encode } from '../../../../proto/messages.ts';

let bus: MemoryBus;
beforeEach(() => {
  bus = new MemoryBus({ clock: systemClock, onError: (error) => expect.fail(error) });
});
afterEach(() => bus.close());

async function rig() {
  const changes: string[] = [];
  const unreadable: string[] = [];
  const keys = new MemberKeys();
  const view = new ClusterView({
    ...{ bus, keys },
    onChange: (change, workerId) => changes.push(workerId === null ? change : `${change} ${workerId}`),
    onUnreadable: (key) => unreadable.push(key),
  });
  const [plans, workers, reports, control] = await Promise.all([
    ...[bus.bucket('plans'), bus.bucket('workers'), bus.bucket('reports'), bus.bucket('control')],
  ]);
  return { view, keys, changes, unreadable, plans: plans!, workers: workers!, reports: reports!, control: control! };
}

function plan(epoch: number, term = 1): Buffer {
  return encode(conclave.PlacementPlan, { epoch, term });
}

describe('ClusterView', () => {
  it('has seen everything that was there when it has started', async () => {
    const { view, keys, plans, workers, control } = await rig();
    await plans.put(TARGET_PLAN, plan(3));
    await plans.put(COMMITTED_PLAN, plan(2));
    await workers.put('w1', encode(conclave.WorkerAnnouncement, { id: 'w1', startedAtMs: 5 }));
    await control.put(LEASE, encode(conclave.LeaderLease, { controllerId: 'c1', term: 4 }));
    await control.put(MEMBER_KEY, Buffer.from('secret'));
    await view.start();
    expect([view.target?.epoch, view.committed?.epoch, view.lease?.controllerId]).toEqual([3, 2, 'c1']);
    expect([...view.workers.keys()]).toEqual(['w1']);
    expect(keys.current).toBe('secret');
  });

  it('never goes back to a lower epoch, but knows where the lower one stands', async () => {
    const { view, plans, changes } = await rig();
    await plans.put(TARGET_PLAN, plan(3));
    await view.start();
    changes.length = 0;
    const revision = await plans.put(TARGET_PLAN, plan(2, 9));
    await vi.waitFor(() => expect(view.targetRevision).toBe(revision));
    expect([view.target?.epoch, view.target?.term, changes]).toEqual([3, 1, []]);
    await plans.put(TARGET_PLAN, plan(4));
    await vi.waitFor(() => expect(view.target?.epoch).toBe(4));
    expect(changes).toEqual(['plans']);
  });

  it('keeps plans and constraints that the bus has forgotten, and knows that it has', async () => {
    const { view, plans, control } = await rig();
    await plans.put(TARGET_PLAN, plan(3));
    await control.put(CONSTRAINTS, encode(conclave.ClusterConstraints, { defaultReplicas: 2 }));
    await view.start();
    await plans.delete(TARGET_PLAN);
    await control.delete(CONSTRAINTS);
    await vi.waitFor(() => expect([view.targetRevision, view.constraints?.revision]).toEqual([0, 0]));
    expect([view.target?.epoch, view.constraints?.value.defaultReplicas]).toEqual([3, 2]);
  });

  it('reports workers that come, change and go, not of heartbeats', async () => {
    const { view, workers, changes } = await rig();
    await view.start();
    const announce = (more: object) =>
      workers.put('w1', encode(conclave.WorkerAnnouncement, { id: 'w1', startedAtMs: 5, ...more }));
    await announce({});
    await announce({});
    await announce({ draining: true });
    await announce({ startedAtMs: 6 });
    await workers.delete('w1');
    await vi.waitFor(() => expect(view.workers.size).toBe(0));
    expect(changes).toEqual(['workers w1', 'workers w1', 'workers w1', 'workers w1']);
  });

  it('ignores what it cannot read, and says so', async () => {
    const { view, plans, reports, workers, unreadable } = await rig();
    await plans.put(TARGET_PLAN, plan(3));
    await view.start();
    const garbage = Buffer.alloc(16, 0xff);
    await Promise.all([plans.put(TARGET_PLAN, garbage), reports.put('w1', garbage), workers.put('w2', garbage)]);
    await vi.waitFor(() => expect(unreadable.toSorted()).toEqual(['target', 'w1', 'w2']));
    expect([view.target?.epoch, view.reports.size, view.workers.size]).toEqual([3, 0, 0]);
    // The next plan can be written in its place.
    expect(await plans.update(TARGET_PLAN, plan(4), view.targetRevision)).not.toBeNull();
  });
});
