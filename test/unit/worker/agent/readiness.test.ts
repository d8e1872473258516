import { describe, expect, it } from 'vitest';
import type { PlacementPlan as PlanInput } from '../../../../proto/generated/conclave/v1/PlacementPlan.ts';
import { conclave, decode, encode } from '../../../../proto/messages.ts';
import { type ReadinessInput, readiness } from '../../../../worker/agent/readiness.ts';

function plan(epoch: number, more: Partial<PlanInput> = {}) {
  const made: PlanInput = {
    epoch,
    workers: [{ id: 'w' }, { id: 'v' }],
    experts: [{ layer: 1, slices: 1, expert: [0, 1, 2], slice: [0, 0, 0], worker: [0, 0, 1] }],
    pipelines: [{ id: 'p0', stages: [{ firstLayer: 0, endLayer: 2, ranks: [{ worker: 0 }] }] }],
    ...more,
  };
  return decode(conclave.PlacementPlan, encode(conclave.PlacementPlan, made));
}

const without = (epoch: number) => plan(epoch, { workers: [{ id: 'v' }], experts: [], pipelines: [] });
const nothingMissing = { value: [], revision: 0 };

/** A worker that holds all that plan 1, in force, gives it. */
function input(changes: Partial<ReadinessInput> = {}, view: Partial<ReadinessInput['view']> = {}): ReadinessInput {
  return {
    ...{ workerId: 'w', startedAtMs: 5, address: 'h:1', error: null, draining: false, busConnected: true },
    view: { target: plan(1), committed: plan(1), missing: nothingMissing, constraints: null, ...view },
    held: [{ layer: 1, slices: 1, sliceIds: [0, 1] }],
    readyPipelines: ['p0'],
    joinedForMs: 60_000,
    ...changes,
  };
}

describe('a worker is ready', () => {
  it.each([
    ['while it holds what the plan in force gives it', input(), []],
    [
      'while it loads for another plan',
      input(
        {},
        {
          target: plan(2, {
            experts: [{ layer: 1, slices: 1, expert: [0, 1, 2, 3], slice: [0, 0, 0, 0], worker: [0, 0, 0, 0] }],
          }),
        },
      ),
      ['plan 2 is being rolled out'],
    ],
    [
      'while another plan fails here',
      input({ error: 'bad disk' }, { target: plan(2) }),
      ['plan 2 is being rolled out: bad disk'],
    ],
    [
      'without anything to hold, as a spare',
      input({ held: [] }, { target: without(1), committed: without(1) }),
      ['the plan gives it nothing: it is a spare'],
    ],
    [
      'while the bus is away',
      input({ busConnected: false }),
      ['the bus is away: it goes on with the plan that it has'],
    ],
    ['when only its process before is missed', input({}, { missing: missing(4) }), []],
  ])('%s', (_, given, notices) => {
    expect(readiness(given)).toEqual({ ready: true, reasons: [], notices });
  });
});

describe('a worker is not ready', () => {
  it.each([
    ['before there is a plan', input({ held: [] }, { target: null, committed: null }), 'there is no plan yet'],
    [
      'right after it joined, before a plan names it',
      input({ held: [], joinedForMs: 2_500 }, { target: without(1), committed: without(1) }),
      'no plan names it yet; it joined 2 s ago',
    ],
    [
      'while it loads what it never held',
      input({ held: [{ layer: 1, slices: 1, sliceIds: [1] }], readyPipelines: [] }, { committed: null }),
      'plan 1: 1 of 2 expert slots are loaded, its part of pipeline p0 is not ready',
    ],
    [
      'when it cannot load what is in force',
      input({ held: [], error: 'checksum 0x1' }),
      'plan 1: 0 of 2 expert slots are loaded: checksum 0x1',
    ],
    [
      'when it holds slices of another size',
      input({ held: [{ layer: 1, slices: 2, sliceIds: [0, 1] }] }),
      'plan 1: 0 of 2 expert slots are loaded',
    ],
    [
      'when nobody reaches it',
      input({}, { missing: missing(5) }),
      'the leader does not reach it at h:1: no answer in time',
    ],
    ['while it shuts down', input({ draining: true }), 'it is shutting down'],
    [
      'while an operator drains it',
      input({}, { constraints: { value: drained(), revision: 1 } }),
      'an operator drains it',
    ],
  ])('%s', (_, given, reason) => {
    expect(readiness(given)).toMatchObject({ ready: false, reasons: [reason] });
  });
});

function missing(startedAtMs: number) {
  const state = 'WORKER_STATE_UNREACHABLE' as const;
  const worker = {
    workerId: 'w',
    startedAtMs,
    address: 'h:1',
    node: 'n',
    state,
    sinceMs: 1,
    reason: 'no answer in time',
  };
  return { value: [worker], revision: 1 };
}

function drained() {
  return decode(conclave.ClusterConstraints, encode(conclave.ClusterConstraints, { draining: [{ workerId: 'w' }] }));
}
