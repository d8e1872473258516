import { describe, expect, it, vi } from 'vitest';
import type { ExpertBank, ExpertSlot } from '../../../../native/native.ts';
import { conclave, decode, encode, type PlacementPlan } from '../../../../proto/messages.ts';
import { ExpertAgent } from '../../../../worker/agent/expert-agent.ts';
import { slotKey } from '../../../../worker/plan/plan-slots.ts';

/** A plan that puts experts of layer 0 on workers "a" (index 0) and "b" (index 1). */
function planOf(
  epoch: number,
  slots: readonly (readonly [expert: number, worker: number])[],
  checksums: readonly number[] = [],
): PlacementPlan {
  const experts = [
    {
      layer: 0,
      slices: 1,
      expert: slots.map(([expert]) => expert),
      slice: slots.map(() => 0),
      worker: slots.map(([, worker]) => worker),
      checksums: [...checksums],
    },
  ];
  const workers = [{ id: 'a' }, { id: 'b' }];
  return decode(conclave.PlacementPlan, encode(conclave.PlacementPlan, { epoch, workers, experts }));
}

function rig(options: { readonly checksumOf?: (slot: ExpertSlot) => number; readonly fail?: string } = {}) {
  const loaded = new Set<string>();
  const log: string[] = [];
  const bank: ExpertBank = {
    load: async (slots) => {
      if (options.fail !== undefined) throw new Error(options.fail);
      for (const slot of slots) {
        loaded.add(slotKey(slot));
        log.push(`load ${slot.expert}`);
      }
      return slots.map((slot) => ({ ...slot, checksum: options.checksumOf?.(slot) ?? 0, bytes: 10 }));
    },
    unload: (slots) => {
      for (const slot of slots) {
        loaded.delete(slotKey(slot));
        log.push(`unload ${slot.expert}`);
      }
    },
    has: (slot) => loaded.has(slotKey(slot)),
    forward: () => Promise.reject(new Error('not part of this test')),
    slotCount: 0,
    bytes: 0,
    close: () => undefined,
  };
  let settle: () => void = () => undefined;
  const routesSettled = vi.fn(
    (_epoch: number) =>
      new Promise<void>((resolve) => {
        settle = resolve;
      }),
  );
  const failures: unknown[] = [];
  const agent = new ExpertAgent({
    workerId: 'a',
    bank,
    onChange: () => undefined,
    routesSettled,
    onLoadFailed: (error) => failures.push(error),
    batchSlots: 2,
  });
  const held = (): readonly number[] => agent.held.flatMap(({ sliceIds }) => sliceIds); // One layer, one slice an expert.
  return { agent, held, log, failures, routesSettled, settle: () => settle() };
}

describe('ExpertAgent', () => {
  it('loads what the target plan puts on its worker, and nothing else', async () => {
    const { agent, held, log } = rig();
    agent.follow(
      planOf(1, [
        [0, 0],
        [1, 1],
        [2, 0],
        [3, 0],
      ]),
      null,
    );
    await vi.waitFor(() =>
      expect(agent.progress).toMatchObject({ epoch: 1, slotsWanted: 3, slotsReady: 3, error: null }),
    );
    expect(held()).toEqual([0, 2, 3]);
    expect(log).toEqual(['load 0', 'load 2', 'load 3']);
    expect(agent.progress.loadedBytes).toBe(30);
  });

  it('keeps what the committed plan has until the target is committed, then frees it once routes have settled', async () => {
    const { agent, held, log, routesSettled, settle } = rig();
    const [before, after] = [
      planOf(1, [
        [0, 0],
        [1, 0],
      ]),
      planOf(2, [
        [1, 0],
        [2, 0],
      ]),
    ];
    agent.follow(before, null);
    await vi.waitFor(() => expect(held()).toEqual([0, 1]));
    agent.follow(after, before);
    await vi.waitFor(() => expect(agent.progress).toMatchObject({ epoch: 2, slotsReady: 2 }));
    expect(held()).toEqual([0, 1, 2]);

    agent.follow(after, after);
    await vi.waitFor(() => expect(routesSettled).toHaveBeenCalledWith(2));
    // Stages that have not heard of the new plan still route to it.
    expect(held()).toEqual([0, 1, 2]);
    expect(log).not.toContain('unload 0');
    settle();
    await vi.waitFor(() => expect(log.at(-1)).toBe('unload 0'));
    expect(held()).toEqual([1, 2]);
  });

  it('keeps a slot that a newer plan wants back before it was freed', async () => {
    const { agent, held, log, routesSettled, settle } = rig();
    const [first, second] = [
      planOf(1, [
        [0, 0],
        [1, 0],
      ]),
      planOf(2, [[1, 0]]),
    ];
    agent.follow(first, first);
    await vi.waitFor(() => expect(held()).toEqual([0, 1]));
    agent.follow(second, second);
    await vi.waitFor(() => expect(routesSettled).toHaveBeenCalled());
    const third = planOf(3, [
      [0, 0],
      [1, 0],
    ]);
    agent.follow(third, second);
    settle();
    await vi.waitFor(() => expect(held()).toEqual([0, 1]));
    expect(log).not.toContain('unload 0');
  });

  it('refuses a slot whose checksum is not the expected one, and says which', async () => {
    const { agent, held, log } = rig({ checksumOf: ({ expert }) => (expert === 1 ? 0xbad : expert) });
    agent.follow(
      planOf(
        4,
        [
          [0, 0],
          [1, 0],
          [2, 0],
        ],
        [0, 1, 2],
      ),
      null,
    );
    await vi.waitFor(() => expect(agent.progress.error).not.toBeNull());
    expect(agent.progress.error).toBe(
      'layer 0 expert 1 slice 0: checksum 0x00000bad, expected 0x00000001: the checkpoint here is damaged or another one',
    );
    expect(held()).toEqual([]);
    expect(log).toEqual(['load 0', 'load 1', 'unload 0', 'unload 1']);
  });

  it('reports why loading failed, and recovers with the next plan', async () => {
    const options = { fail: 'disk on fire' as string | undefined };
    const { agent, held, failures } = rig(options as { fail?: string });
    agent.follow(planOf(1, [[0, 0]]), null);
    await vi.waitFor(() => expect(agent.progress.error).toBe('disk on fire'));
    expect(failures).toEqual([new Error('disk on fire')]);
    options.fail = undefined;
    agent.follow(planOf(2, [[0, 0]]), null);
    await vi.waitFor(() => expect(agent.progress).toMatchObject({ epoch: 2, slotsReady: 1, error: null }));
    expect(held()).toEqual([0]);
  });
});
