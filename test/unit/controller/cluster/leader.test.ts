import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EventLog } from '../../../../controller/cluster/events/events.ts';
import { Leader } from '../../../../controller/cluster/leader/leader.ts';
import { ExpertLoadBook } from '../../../../controller/cluster/load/expert-load.ts';
import {
  editConstraints,
  withDefaultReplicas,
  withDraining,
} from '../../../../controller/cluster/requests/constraints.ts';
import { compileModel } from '../../../../controller/model/compile.ts';
import { defaultConstraints } from '../../../../controller/planner/input/input.ts';
import { MemoryBus } from '../../../../platform/bus/memory-bus.ts';
import { COMMITTED_PLAN, CONSTRAINTS, TARGET_PLAN } from '../../../../platform/bus/subjects.ts';
import { ClusterView } from '../../../../platform/membership/cluster-view.ts';
import { MemberKeys } from '../../../../platform/membership/membership.ts';
import { systemClock } from '../../../../platform/process/clock.ts';
import type { WorkerAnnouncement } from '../../../../proto/generated/conclave/v1/WorkerAnnouncement.ts';
import type { WorkerReport } from '../../../../proto/generated/conclave/v1/WorkerReport.ts';
import { conclave, decode, encode, type PlacementPlan } from '../../../../proto/messages.ts';

const { spec } = await compileModel(join(import.meta.dirname, '../../../fixtures/golden/mixtral'));

let bus: MemoryBus;
let stop: () => void;
const clock = { now: 0 };

beforeEach(() => {
  clock.now = 0;
  bus = new MemoryBus({ clock: systemClock, onError: (error) => expect.fail(error) });
});
afterEach(async () => {
  stop();
  await bus.close();
});

async function rig(
  minWorkers = 1,
  checksums: () => Promise<readonly number[]> = async () => [],
  rebalance: 'auto' | 'off' = 'off',
) {
  const [plans, workers, reports, control] = await Promise.all([
    bus.bucket('plans'),
    bus.bucket('workers'),
    bus.bucket('reports'),
    bus.bucket('control'),
  ]);
  const errors: string[] = [];
  const load = new ExpertLoadBook(spec);
  /** What this controller does not reach: milliseconds for which it is lost, or null where it was never reached. */
  const missing = new Map<string, number | null>();
  /** Plans that are written and that the bus has not shown yet; null while it shows each at once. */
  let unseen: (() => void)[] | null = null;
  const watch = plans.watch.bind(plans);
  plans.watch = (listener, onReady) =>
    watch((change) => (unseen === null ? listener(change) : void unseen.push(() => listener(change))), onReady);
  const hidePlans = (): void => {
    unseen = [];
  };
  const showPlans = (): void => {
    const shown = unseen ?? [];
    unseen = null;
    for (const show of shown) show();
  };
  const view = new ClusterView({
    bus,
    keys: new MemberKeys(),
    onChange: () => leader.wake(),
    onUnreadable: (key) => errors.push(key),
  });
  const events = new EventLog({ bus, cluster: 'test', wallClock: () => 0 });
  const leader: Leader = new Leader({
    spec,
    weights: 'f32',
    baseConstraints: { ...defaultConstraints, kvBlocks: 16, blockSize: 4 },
    leastKvBlocks: 4,
    minWorkers,
    joinSettleMs: 500,
    view,
    roster: { mayHold: (id) => !missing.has(id), lostForMs: (id) => missing.get(id) ?? null },
    plans,
    reports,
    control,
    load,
    rebalance,
    events,
    checksums: () => checksums(),
    now: () => clock.now,
    wallClock: () => clock.now,
    onError: (what, error) => errors.push(`${what}: ${String(error)}`),
  });
  await view.start();
  stop = () => {
    leader.follow();
    view.stop();
    events.close();
    expect(errors).toEqual([]);
  };
  const plan = async (key: string): Promise<PlacementPlan | null> => {
    const entry = await plans.get(key);
    return entry === null ? null : decode(conclave.PlacementPlan, entry.value);
  };
  const announce = (id: string, rest: Partial<WorkerAnnouncement> = {}): Promise<number> => {
    const roles = ['stage', 'expert'];
    const worker = { id, address: `${id}:1`, node: id, roles, memoryBytes: 2 ** 28, cores: 1, startedAtMs: 1, ...rest };
    return workers.put(id, encode(conclave.WorkerAnnouncement, worker));
  };
  const report = (
    id: string,
    epoch: number,
    state: WorkerReport['state'],
    error = '',
    reached: WorkerReport['reached'] = [],
  ): Promise<number> => {
    const value = { id, epoch, state: state ?? 'WORKER_STATE_READY', error, startedAtMs: 1, reached };
    return reports.put(id, encode(conclave.WorkerReport, value));
  };
  /** Lets so many milliseconds pass on the leader's clock. */
  const pass = (ms: number): void => {
    clock.now += ms;
    leader.wake();
  };
  const codes = (): readonly string[] => events.recent(100).map(({ code }) => code);
  const planned = (epoch: number): Promise<void> =>
    vi.waitFor(async () => {
      pass(500);
      expect((await plan(TARGET_PLAN))?.epoch).toBe(epoch);
    });
  const committed = (epoch: number): Promise<void> =>
    vi.waitFor(async () => expect((await plan(COMMITTED_PLAN))?.epoch).toBe(epoch));
  return {
    leader,
    load,
    view,
    events,
    plans,
    control,
    plan,
    announce,
    report,
    pass,
    codes,
    planned,
    committed,
    workers,
    reports,
    missing,
    hidePlans,
    showPlans,
  };
}

/** A cluster of one worker whose first plan is in force. */
async function running() {
  const all = await rig();
  all.leader.lead(1);
  await all.announce('a');
  await all.planned(1);
  await all.report('a', 1, 'WORKER_STATE_READY');
  await all.committed(1);
  return all;
}

describe('Leader', () => {
  it('makes the first plan once enough workers are there and none has joined for a while', async () => {
    const { leader, announce, pass, plan, planned } = await rig(2);
    leader.lead(7);
    await announce('a');
    pass(1_000);
    pass(1_000);
    await announce('b');
    pass(499);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await plan(TARGET_PLAN)).toBeNull();
    await planned(1);
    expect(await plan(TARGET_PLAN)).toMatchObject({ epoch: 1, term: 7, reason: 'first plan' });
  });

  it('commits a plan when every worker of it is ready', async () => {
    const { codes } = await running();
    expect(codes()).toEqual(['PLAN_PUBLISHED', 'PLAN_COMMITTED']);
  });

  it('plans nothing while it does not lead', async () => {
    const { leader, announce, pass, plan } = await rig();
    await announce('a');
    pass(10_000);
    leader.lead(1);
    leader.follow();
    pass(10_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await plan(TARGET_PLAN)).toBeNull();
  });

  it('goes back to the plan in force when a worker cannot carry out a new one, and waits for a change', async () => {
    const { announce, report, planned, committed, plan, codes, pass } = await running();
    await announce('b');
    await planned(2);
    await report('b', 2, 'WORKER_STATE_FAILED', 'bad checksum');
    await planned(3);
    expect(await plan(TARGET_PLAN)).toMatchObject({
      reason: 'rolled back plan 2: worker b cannot carry out plan 2: bad checksum',
      workers: [{ id: 'a' }],
    });
    await report('a', 3, 'WORKER_STATE_READY');
    await committed(3);
    for (let i = 0; i < 10; i++) pass(1_000);
    expect((await plan(TARGET_PLAN))?.epoch).toBe(3);
    expect(codes().filter((code) => code === 'ROLLOUT_FAILED' || code === 'ROLLED_BACK')).toEqual([
      'ROLLOUT_FAILED',
      'ROLLED_BACK',
    ]);
    await announce('b', { startedAtMs: 2 }); // Its disk was replaced.
    await planned(4);
  });

  it('leaves out a worker that fails before anything is in force, until it is restarted', async () => {
    const { leader, announce, report, planned, committed, plan } = await rig(2);
    leader.lead(1);
    await announce('a');
    await announce('b');
    await planned(1);
    await report('b', 1, 'WORKER_STATE_FAILED', 'bad disk');
    await planned(2);
    expect((await plan(TARGET_PLAN))?.workers.map(({ id }) => id)).toEqual(['a']);
    await report('a', 2, 'WORKER_STATE_READY');
    await committed(2);
    await announce('b', { startedAtMs: 2 });
    await planned(3);
    expect((await plan(TARGET_PLAN))?.workers.map(({ id }) => id)).toEqual(['a', 'b']);
  });

  it('says what is missing when nothing can be planned, once, and plans when it is there', async () => {
    const { leader, announce, codes, planned, pass } = await rig();
    leader.lead(1);
    await announce('a', { roles: ['expert'] });
    await vi.waitFor(() => {
      pass(1_000);
      expect(leader.planning.problems).not.toEqual([]);
    });
    for (let i = 0; i < 5; i++) pass(1_000);
    expect(codes()).toEqual(['PLAN_INFEASIBLE']);
    await announce('b');
    await planned(1);
    expect(leader.planning.problems).toEqual([]);
  });

  it('does not plan again right after the bus came back: heartbeats may just have expired', async () => {
    const { leader, workers, announce, pass, plan, view } = await running();
    await announce('b', { roles: ['expert'] });
    leader.busReturned();
    await workers.delete('a');
    await vi.waitFor(() => expect(view.workers.has('a')).toBe(false));
    for (let i = 0; i < 29; i++) pass(100);
    await new Promise((resolve) => setImmediate(resolve));
    expect((await plan(TARGET_PLAN))?.epoch).toBe(1);
  });

  it('puts back what the bus has forgotten', async () => {
    const { plans, control, plan, pass } = await running();
    await control.create(CONSTRAINTS, encode(conclave.ClusterConstraints, { defaultReplicas: 1 }));
    await plans.delete(TARGET_PLAN);
    await plans.delete(COMMITTED_PLAN);
    await vi.waitFor(async () => {
      pass(10);
      expect((await plan(TARGET_PLAN))?.epoch).toBe(1);
      expect((await plan(COMMITTED_PLAN))?.epoch).toBe(1);
    });
  });

  it('begins above what workers follow when the bus and every controller have forgotten it', async () => {
    const { leader, announce, report, planned, plan } = await rig();
    await announce('a');
    await report('a', 41, 'WORKER_STATE_READY');
    leader.lead(1);
    await planned(1_041);
    expect(await plan(TARGET_PLAN)).toMatchObject({ reason: 'first plan', workers: [{ id: 'a' }] });
  });

  it('raises the epoch of the plan when a worker turns out to follow a higher one', async () => {
    const { report, planned, plan, committed, codes } = await running();
    const before = await plan(TARGET_PLAN);
    await report('a', 7, 'WORKER_STATE_READY');
    await planned(1_007);
    expect(await plan(TARGET_PLAN)).toEqual({ ...before, epoch: 1_007 });
    await report('a', 1_007, 'WORKER_STATE_READY');
    await committed(1_007);
    expect(codes()).toEqual(['PLAN_PUBLISHED', 'PLAN_COMMITTED', 'EPOCH_RAISED', 'PLAN_COMMITTED']);
  });

  it('leaves a failing worker out when what it would go back to is gone as well', async () => {
    const { workers, announce, report, planned, committed, plan, view } = await running();
    await announce('b');
    await planned(2);
    for (const id of ['a', 'b']) await report(id, 2, 'WORKER_STATE_READY');
    await committed(2);
    await announce('c');
    await planned(3);
    await workers.delete('b');
    await vi.waitFor(() => expect(view.workers.has('b')).toBe(false));
    await report('c', 3, 'WORKER_STATE_FAILED', 'bad disk');
    await planned(4);
    expect((await plan(TARGET_PLAN))?.workers.map(({ id }) => id)).toEqual(['a']);
  });

  it('does not write a plan over one that another leader made meanwhile', async () => {
    let read: (sums: readonly number[]) => void = () => undefined;
    const { leader, announce, plans, plan, pass } = await rig(1, () => new Promise((resolve) => (read = resolve)));
    leader.lead(1);
    await announce('a');
    const slow = read;
    await vi.waitFor(() => {
      pass(500);
      expect(read).not.toBe(slow);
    });
    const others = { epoch: 5, term: 2, reason: 'by another leader' };
    await plans.create(TARGET_PLAN, encode(conclave.PlacementPlan, others));
    for (let i = 0; i < 10; i++) {
      read([]);
      pass(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await plan(TARGET_PLAN)).toMatchObject(others);
  });

  it('deletes what a worker said that has been gone for a minute', async () => {
    const { report, reports, pass } = await running();
    await report('gone', 1, 'WORKER_STATE_READY');
    pass(0);
    await new Promise((resolve) => setImmediate(resolve));
    pass(59_999);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await reports.get('gone')).not.toBeNull();
    await vi.waitFor(async () => {
      pass(1);
      expect(await reports.get('gone')).toBeNull();
    });
    expect(await reports.get('a')).not.toBeNull();
  });

  describe('when a worker cannot carry out what operators ask for', () => {
    /** Workers a and b hold a replica between them; two are asked for, and b cannot load what that needs of it. */
    async function failing() {
      const all = await rig(2);
      const { leader, announce, report, planned, committed, control, view } = all;
      leader.lead(1);
      await announce('a', { roles: ['stage', 'expert'] });
      await announce('b', { roles: ['expert'] });
      await planned(1);
      for (const id of ['a', 'b']) await report(id, 1, 'WORKER_STATE_READY');
      await committed(1);
      const ask = (edit: Parameters<typeof editConstraints>[2]) =>
        editConstraints(control, { by: 'ada', atMs: 7 }, edit);
      await ask((now, asked) => ({ what: 'scale replicas 1 → 2', next: withDefaultReplicas(now, 2, asked) }));
      await planned(2);
      await report('b', 2, 'WORKER_STATE_FAILED', 'bad disk');
      await vi.waitFor(() => expect(view.target?.epoch).toBe(4)); // 3 went back, 4 is made without more for b.
      return { ...all, ask };
    }
    const slotsOf = (plan: PlacementPlan | null, id: string): number => {
      const index = plan?.workers.findIndex((worker) => worker.id === id) ?? -1;
      return plan?.experts.reduce((sum, { worker }) => sum + worker.filter((held) => held === index).length, 0) ?? 0;
    };
    const messages = (events: EventLog, code: string): readonly string[] =>
      events.recent(100).flatMap((event) => (event.code === code ? [event.message] : []));

    it('keeps what it has there, gives the rest what it can, and says what is pending and why', async () => {
      const { plan, report, committed, view, events } = await failing();
      const next = await plan(TARGET_PLAN);
      expect(next?.reason).toMatch(/^scale replicas 1 → 2 by ada; worker b failed/);
      expect(slotsOf(next, 'b')).toBe(slotsOf(view.committed, 'b'));
      expect(slotsOf(next, 'a')).toBeGreaterThan(slotsOf(view.committed, 'a'));
      for (const id of ['a', 'b']) await report(id, 4, 'WORKER_STATE_READY');
      await committed(4);
      await vi.waitFor(() =>
        expect(messages(events, 'REQUEST_PENDING')).toEqual([
          expect.stringMatching(/^2 replicas of every expert \(asked for by ada .*is pending: .*bad disk/),
        ]),
      );
      expect(messages(events, 'REQUEST_IN_FORCE')).toEqual([]);
      expect(messages(events, 'WORKER_LEFT_OUT')).toHaveLength(1);
    });

    it('gives it to a healthy worker that joins, and says that what was pending is in force', async () => {
      const { announce, report, planned, committed, plan, events, view } = await failing();
      await vi.waitFor(() => expect(view.planning?.pending).toHaveLength(1));
      await announce('c', { roles: ['expert'] });
      await planned(5);
      const next = await plan(TARGET_PLAN);
      expect(next?.reason).toMatch(/^worker c joined; now possible: 2 replicas of every expert \(asked for by ada/);
      for (const id of ['a', 'b', 'c']) await report(id, 5, 'WORKER_STATE_READY');
      await committed(5);
      await vi.waitFor(() => expect(messages(events, 'REQUEST_IN_FORCE')).toHaveLength(1));
      expect(view.target?.epoch).toBe(5);
    });

    it('carries out what others ask for meanwhile, and a drain of it puts nothing else in force in silence', async () => {
      const { ask, planned, plan, report, committed, events } = await failing();
      await ask((now, asked) => ({ what: 'drain b', next: withDraining(now, 'b', asked) }));
      await planned(5);
      const next = await plan(TARGET_PLAN);
      expect(next?.reason).toBe('drain b by ada');
      expect(next?.workers.map(({ id }) => id)).toEqual(['a']);
      await report('a', 5, 'WORKER_STATE_READY');
      await committed(5);
      expect(messages(events, 'REQUEST_IN_FORCE')).toEqual([]);
    });

    it('tries it again after a while, more rarely each time, and uses it once it is well', async () => {
      const { report, planned, pass, plan, committed, view, events, codes } = await failing();
      for (const id of ['a', 'b']) await report(id, 4, 'WORKER_STATE_READY');
      await committed(4);
      pass(30_000);
      await planned(5);
      expect((await plan(TARGET_PLAN))?.reason).toMatch(/^worker b is tried again/);
      await report('b', 5, 'WORKER_STATE_FAILED', 'bad disk');
      await vi.waitFor(() => expect(view.target?.epoch).toBe(6)); // Went back to what was made without more for b.
      for (const id of ['a', 'b']) await report(id, 6, 'WORKER_STATE_READY');
      await committed(6);
      for (let i = 0; i < 59; i++) pass(1_000);
      await new Promise((resolve) => setImmediate(resolve));
      expect((await plan(TARGET_PLAN))?.epoch).toBe(6);
      await planned(7);
      for (const id of ['a', 'b']) await report(id, 7, 'WORKER_STATE_READY');
      await committed(7);
      await vi.waitFor(() => expect(codes()).toContain('WORKER_RECOVERED'));
      await vi.waitFor(() => expect(messages(events, 'REQUEST_IN_FORCE')).toHaveLength(1));
      await vi.waitFor(() => expect(view.planning?.leftOut).toEqual([]));
    });

    it('lets the next leader go on where this one ended', async () => {
      const { leader, view, codes, pass, plan } = await failing();
      await vi.waitFor(() => expect(view.planning?.leftOut).toHaveLength(1));
      leader.follow();
      leader.lead(2);
      for (let i = 0; i < 20; i++) pass(1_000);
      await new Promise((resolve) => setImmediate(resolve));
      expect((await plan(TARGET_PLAN))?.epoch).toBe(4);
      expect(codes().filter((code) => code === 'ROLLOUT_FAILED' || code === 'REQUEST_PENDING')).toEqual([
        'ROLLOUT_FAILED',
        'REQUEST_PENDING',
      ]);
    });

    it('moves everything off a worker that fails at the plan in force, as after a restart', async () => {
      const { report, planned, plan, committed, announce, codes } = await running();
      await announce('b');
      await planned(2);
      for (const id of ['a', 'b']) await report(id, 2, 'WORKER_STATE_READY');
      await committed(2);
      await report('b', 2, 'WORKER_STATE_FAILED', 'bad disk');
      await planned(3);
      expect((await plan(TARGET_PLAN))?.workers.map(({ id }) => id)).toEqual(['a']);
      expect(codes()).toContain('WORKER_LEFT_OUT');
    });
  });

  it('calls nothing pending that its newest plan gives, however late the bus shows that plan', async () => {
    const { announce, report, planned, committed, control, codes, pass, hidePlans, showPlans } = await running();
    await announce('b');
    await planned(2);
    for (const id of ['a', 'b']) await report(id, 2, 'WORKER_STATE_READY');
    await committed(2);
    hidePlans();
    await editConstraints(control, { by: 'ada', atMs: 7 }, (now, asked) => ({
      what: 'scale replicas 1 → 2',
      next: withDefaultReplicas(now, 2, asked),
    }));
    await planned(3);
    for (let turn = 0; turn < 5; turn++) {
      pass(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    showPlans();
    for (const id of ['a', 'b']) await report(id, 3, 'WORKER_STATE_READY');
    await committed(3);
    expect(codes()).not.toContain('REQUEST_PENDING');
  });

  it('leaves the plan of a later leader alone', async () => {
    const { plans, plan, announce, pass } = await running();
    const entry = await plans.get(TARGET_PLAN);
    const later = { ...(await plan(TARGET_PLAN))!, epoch: 2, term: 9 };
    await plans.update(TARGET_PLAN, encode(conclave.PlacementPlan, later), entry!.revision);
    await announce('b');
    for (let i = 0; i < 10; i++) pass(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await plan(TARGET_PLAN)).toMatchObject({ epoch: 2, term: 9 });
  });

  describe('and workers that are missing', () => {
    const names = (found: PlacementPlan | null): readonly string[] => found?.workers.map(({ id }) => id).sort() ?? [];
    const still = async (): Promise<void> => {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    };

    it('gives nothing to a worker that nobody reaches, and does not count it', async () => {
      const { leader, announce, missing, planned, plan, pass } = await rig(2);
      missing.set('b', null);
      leader.lead(1);
      await announce('a');
      await announce('b');
      for (let i = 0; i < 10; i++) pass(1_000);
      await still();
      expect(await plan(TARGET_PLAN)).toBeNull();
      await announce('c');
      await planned(1);
      expect(names(await plan(TARGET_PLAN))).toEqual(['a', 'c']);
      missing.delete('b');
      await planned(2);
      expect(names(await plan(TARGET_PLAN))).toEqual(['a', 'b', 'c']);
    });

    it('moves a part of a pipeline as soon as its worker is lost', async () => {
      const { announce, report, missing, planned, committed, plan, pass } = await running();
      await announce('b');
      await planned(2);
      for (const id of ['a', 'b']) await report(id, 2, 'WORKER_STATE_READY');
      await committed(2);
      missing.set('a', 0); // The lead.
      await vi.waitFor(async () => {
        pass(0);
        expect(await plan(TARGET_PLAN)).toMatchObject({ epoch: 3, reason: 'worker a lost' });
      });
      expect(names(await plan(TARGET_PLAN))).toEqual(['b']);
    });

    it('keeps the experts of a lost worker for it while it may be restarting, and takes it back', async () => {
      const { announce, report, missing, planned, committed, plan, pass } = await running();
      await announce('b', { roles: ['expert'] });
      await planned(2);
      for (const id of ['a', 'b']) await report(id, 2, 'WORKER_STATE_READY');
      await committed(2);
      missing.set('b', 0);
      for (let i = 0; i < 10; i++) pass(100);
      missing.delete('b');
      await announce('b', { roles: ['expert'], startedAtMs: 2 });
      for (let i = 0; i < 10; i++) pass(1_000);
      await still();
      expect((await plan(TARGET_PLAN))?.epoch).toBe(2);
      missing.set('b', 5_000);
      await planned(3);
      expect(names(await plan(TARGET_PLAN))).toEqual(['a']);
      missing.delete('b');
      await planned(4);
      expect(names(await plan(TARGET_PLAN))).toEqual(['a', 'b']);
    });

    it('keeps experts on a worker that only stages reach, and gives it nothing else', async () => {
      const { announce, report, missing, planned, committed, plan } = await running();
      await announce('b');
      await planned(2);
      for (const id of ['a', 'b']) await report(id, 2, 'WORKER_STATE_READY');
      await committed(2);
      missing.set('b', null);
      await report('a', 2, 'WORKER_STATE_READY', '', [{ workerId: 'b', startedAtMs: 1 }]);
      await announce('c', { roles: ['expert'] });
      await planned(3);
      expect(names(await plan(TARGET_PLAN))).toEqual(['a', 'b', 'c']);
      await report('a', 3, 'WORKER_STATE_READY', '', [{ workerId: 'b', startedAtMs: 0 }]); // The process before.
      await planned(4);
      expect(names(await plan(TARGET_PLAN))).toEqual(['a', 'c']);
    });
  });
});
