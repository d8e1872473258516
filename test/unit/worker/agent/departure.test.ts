import { describe, expect, it } from 'vitest';
import type { ClusterView } from '../../../../platform/membership/cluster-view.ts';
import { nobodyStays } from '../../../../worker/agent/departure.ts';

type View = Pick<ClusterView, 'workers' | 'committed'>;

/** Workers that are there, with whether each leaves; "s1" leads the only pipeline. */
function view(leaving: Readonly<Record<string, boolean>>): View {
  const workers = new Map(Object.entries(leaving).map(([id, draining]) => [id, { id, draining }]));
  const committed = {
    workers: ['e1', 's1'].map((id) => ({ id })),
    pipelines: [{ stages: [{ ranks: [{ worker: 1 }] }, { ranks: [{ worker: 0 }] }] }],
  };
  return { workers, committed } as unknown as View;
}

const still = { running: 0, waiting: 0, held: 0 };

describe('nobodyStays', () => {
  it.each([
    {
      why: 'another one stays',
      view: view({ e1: true, s1: true, e2: false }),
      id: 'e1',
      engine: null,
      expected: false,
    },
    { why: 'its own word is not out yet', view: view({ e1: false }), id: 'e1', engine: null, expected: false },
    { why: 'requests run here', view: view({ s1: true }), id: 's1', engine: { ...still, running: 1 }, expected: false },
    {
      why: 'requests wait here',
      view: view({ s1: true }),
      id: 's1',
      engine: { ...still, waiting: 1 },
      expected: false,
    },
    { why: 'a client is slow', view: view({ s1: true }), id: 's1', engine: { ...still, held: 1 }, expected: false },
    { why: 'a pipeline needs it', view: view({ e1: true, s1: true }), id: 'e1', engine: null, expected: false },
    { why: 'all leave, nothing runs', view: view({ e1: true, s1: true }), id: 's1', engine: still, expected: true },
    { why: 'the pipeline has gone', view: view({ e1: true, e2: true }), id: 'e1', engine: null, expected: true },
    {
      why: 'a plan was never made',
      view: { ...view({ e1: true }), committed: null },
      id: 'e1',
      engine: null,
      expected: true,
    },
  ])('is $expected: $why', ({ view: seen, id, engine, expected }) => {
    expect(nobodyStays(seen, id, engine)).toBe(expected);
  });
});
