import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ExpertBank } from '../../../../native/native.ts';
import { MemoryBus } from '../../../../platform/bus/memory-bus.ts';
import { COMMITTED_PLAN, LEASE, TARGET_PLAN } from '../../../../platform/bus/subjects.ts';
import { MemberKeys } from '../../../../platform/membership/membership.ts';
import { systemClock } from '../../../../platform/process/clock.ts';
import { conclave, decode, encode } from '../../../../proto/messages.ts';
import { ExpertAgent } from '../../../../worker/agent/expert-agent.ts';
import { WorkerAgent } from '../../../../worker/agent/worker-agent.ts';
import type { Targets } from '../../../../worker/shard/targets.ts';
import type { StageHost } from '../../../../worker/stage/stage-host.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const noBank: ExpertBank = {
  load: () => Promise.resolve([]),
  unload: () => undefined,
  has: () => false,
  forward: () => Promise.reject(new Error('not part of this test')),
  slotCount: 0,
  bytes: 0,
  close: () => undefined,
};

/** The agent of worker "a", started at 100, beside a stage host that only keeps count. */
function rig() {
  const bus = new MemoryBus({ clock: systemClock, onError: (error) => expect.fail(error) });
  const stages = {
    follow: vi.fn(),
    refreshRoutes: vi.fn(),
    retryNow: vi.fn(),
    partnerRestarted: vi.fn(),
    expertRows: () => [],
    readyPipelines: [] as string[],
    error: null as string | null,
    routesEpoch: 0,
  };
  const targets = { update: vi.fn(), retryNow: vi.fn(), numberOf: () => 7 };
  const onReplaced = vi.fn();
  const agent = new WorkerAgent({
    cluster: 'c',
    bus,
    keys: new MemberKeys(),
    announcement: { id: 'a', startedAtMs: 100 },
    targets: targets as unknown as Targets,
    activity: () => ({}),
    onReplaced,
    onError: (what, error) => expect.fail(`${what}: ${String(error)}`),
  });
  const experts = new ExpertAgent({
    workerId: 'a',
    bank: noBank,
    onChange: () => agent.changed(),
    routesSettled: (epoch) => agent.routesSettled(epoch),
  });
  const start = (): Promise<void> => agent.start(experts, stages as unknown as StageHost, '10.0.0.1:1');
  return { agent, bus, stages, targets, onReplaced, start };
}

/** Another worker joins, or says that it is there. */
async function announce(bus: MemoryBus, id: string, startedAtMs: number, draining = false): Promise<void> {
  const workers = await bus.bucket('workers');
  await workers.put(id, encode(conclave.WorkerAnnouncement, { id, address: '10.0.0.2:1', startedAtMs, draining }));
  await vi.advanceTimersByTimeAsync(0);
}

async function putPlan(bus: MemoryBus, key: string, epoch: number, workerIds: readonly string[]): Promise<void> {
  const plans = await bus.bucket('plans');
  const workers = workerIds.map((id) => ({ id, address: '10.0.0.2:1' }));
  await plans.put(key, encode(conclave.PlacementPlan, { epoch, workers }));
  await vi.advanceTimersByTimeAsync(0);
}

describe('WorkerAgent', () => {
  it('says that it holds nothing before it announces itself, and again every second that it is there', async () => {
    const { bus, agent, start } = rig();
    const writes: string[] = [];
    for (const name of ['reports', 'workers'] as const) {
      (await bus.bucket(name)).watch(
        ({ key }) => writes.push(`${name}/${key}`),
        () => undefined,
      );
    }
    await start();
    await vi.advanceTimersByTimeAsync(0);
    expect(writes).toEqual(['reports/a', 'workers/a']);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(writes.filter((write) => write === 'workers/a')).toHaveLength(4);
    await agent.stop();
    expect((await (await bus.bucket('workers')).get('a'))?.value ?? null).toBeNull();
  });

  it('follows plans and members, but not what passes between controllers', async () => {
    const { bus, stages, targets, start } = rig();
    await start();
    await vi.advanceTimersByTimeAsync(0);
    await putPlan(bus, TARGET_PLAN, 1, ['a', 'b']);
    expect(targets.update).toHaveBeenLastCalledWith([{ id: 'b', address: '10.0.0.2:1' }]);
    const followed = stages.follow.mock.calls.length;
    const control = await bus.bucket('control');
    await control.put(LEASE, encode(conclave.LeaderLease, { controllerId: 'x', term: 1, renewedAtMs: 5 }));
    await vi.advanceTimersByTimeAsync(0);
    expect(stages.follow).toHaveBeenCalledTimes(followed);
    await announce(bus, 'b', 200);
    expect(stages.follow).toHaveBeenCalledTimes(followed + 1);
  });

  it('connects again to a worker that was started again, and gives up the caches that it held', async () => {
    const { bus, stages, targets, start } = rig();
    await start();
    await announce(bus, 'b', 200);
    expect(stages.partnerRestarted).not.toHaveBeenCalled();
    await announce(bus, 'b', 300);
    expect(stages.partnerRestarted).toHaveBeenCalledExactlyOnceWith('b');
    expect(targets.retryNow).toHaveBeenCalledTimes(2);
  });

  it('tries again what could not be loaded, and only that', async () => {
    const { stages, start } = rig();
    await start();
    const followed = stages.follow.mock.calls.length;
    await vi.advanceTimersByTimeAsync(6_000);
    expect(stages.follow).toHaveBeenCalledTimes(followed);
    stages.error = 'stage 0 of pipeline p0: no memory';
    await vi.advanceTimersByTimeAsync(6_000);
    expect(stages.follow).toHaveBeenCalledTimes(followed + 1);
  });

  it('is drained once no plan names it, and says so when that takes too long', async () => {
    const { bus, agent, start } = rig();
    await start();
    await announce(bus, 'b', 200);
    await putPlan(bus, TARGET_PLAN, 1, ['a', 'b']);
    await putPlan(bus, COMMITTED_PLAN, 1, ['a', 'b']);
    const tooSoon = agent.drain(500);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await tooSoon).toBe('too late');
    const announced = await (await bus.bucket('workers')).get('a');
    expect(decode(conclave.WorkerAnnouncement, announced?.value ?? new Uint8Array()).draining).toBe(true);

    const drained = agent.drain(60_000);
    await putPlan(bus, TARGET_PLAN, 2, ['b']);
    await putPlan(bus, COMMITTED_PLAN, 2, ['b']);
    await vi.advanceTimersByTimeAsync(100);
    expect(await drained).toBe('moved');
  });

  it('does not wait for others to take over what it has when all of them leave', async () => {
    const { bus, agent, start } = rig();
    await start();
    await announce(bus, 'b', 200);
    await putPlan(bus, COMMITTED_PLAN, 1, ['a', 'b']);
    const drained = agent.drain(60_000);
    await vi.advanceTimersByTimeAsync(1_000);
    await announce(bus, 'b', 200, true);
    await vi.advanceTimersByTimeAsync(100);
    expect(await drained).toBe('nobody stays');
  });

  it('gives way to a newer process under its id, and leaves what that one wrote', async () => {
    const { bus, agent, onReplaced, start } = rig();
    await start();
    await vi.advanceTimersByTimeAsync(0);
    await announce(bus, 'a', 900);
    await announce(bus, 'a', 900);
    expect(onReplaced).toHaveBeenCalledOnce();
    expect(String(onReplaced.mock.calls[0]?.[0])).toContain('--id a: process');
    await agent.stop();
    const left = await (await bus.bucket('workers')).get('a');
    expect(decode(conclave.WorkerAnnouncement, left?.value ?? new Uint8Array()).startedAtMs).toBe(900);
  });
});
