import { describe, expect, it } from 'vitest';
import { frameOf } from '../../../../../controller/api/dashboard/frame.ts';
import { heatOf } from '../../../../../controller/api/dashboard/page/cards/heat.ts';
import { layersOf } from '../../../../../controller/api/dashboard/page/cards/load.ts';
import { EventParser } from '../../../../../controller/api/dashboard/page/server/sse.ts';
import { placementOf } from '../../../../../controller/api/dashboard/placement.ts';
import type { GetStatusResponse } from '../../../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { PlacementPlan } from '../../../../../proto/messages.ts';

const decode = (base64: string): Uint8Array => Buffer.from(base64, 'base64');

describe('frameOf', () => {
  it('sends the load of experts in a byte each, which the page reads within 2.2 %', () => {
    const rows = [
      [0, 0.01, 1, 3],
      [1_000, 40.5, 250, 0],
    ];
    const load = rows.map((expertRows, i) => ({ layer: i + 3, expertRows, imbalance: 1.5 }));
    const layers = layersOf(frameOf({ load }), decode);
    expect(layers.map(({ layer }) => layer)).toEqual([3, 4]);
    for (const [i, { rates, mean }] of layers.entries()) {
      for (const [expert, rate] of rates.entries()) {
        const sent = rows[i]![expert]!;
        // Of what is asked a sixty-thousandth as often as the busiest one it is only said that it is asked.
        if (sent === 0) expect(rate).toBe(0);
        else if (sent > 1_000 / 60_000) expect(Math.abs(rate / sent - 1)).toBeLessThan(0.023);
        else expect(rate).toBeGreaterThan(0);
      }
      expect(mean).toBeCloseTo(rates.reduce((sum, rate) => sum + rate, 0) / 4);
    }
  });

  it('is small for 61 layers of 384 experts and 100 workers', () => {
    const status: GetStatusResponse = {
      load: Array.from({ length: 61 }, (_, layer) => ({
        ...{ layer, imbalance: 1.234567 },
        expertRows: Array.from({ length: 384 }, (_, expert) => 0.1234567 * (1 + ((expert * 7919) % 1_000))),
      })),
      workers: Array.from({ length: 100 }, (_, i) => ({
        ...{ id: `expert-worker-${i}`, node: `node-${i}.example.org`, roles: ['expert'], state: 'WORKER_STATE_READY' },
        ...{ slots: 468, slotsWanted: 468, memoryBytes: 2 ** 37, weightBytes: 2 ** 36, rowsPerSecond: 12_345.678 },
        ...{ startedAtMs: 1_796_000_000_000, activity: { dispatchMs: 1.234567, kvCacheUsageRatio: 0.123456 } },
      })),
    };
    expect(JSON.stringify(frameOf(status)).length).toBeLessThan(70_000);
  });

  it('can be made of nothing at all', () => {
    expect(frameOf({})).toMatchObject({ plan: null, rollout: null, workers: [], load: { layers: [], levels: '' } });
    expect(layersOf(frameOf({}), decode)).toEqual([]);
  });
});

it('an expert is as hot as it is busier than the mean of its layer', () => {
  expect([0, 0.4, 0.7, 1, 1.9, 3.9, 4, 40].map((rate) => heatOf(rate, 1))).toEqual([0, 1, 2, 3, 4, 5, 6, 6]);
  expect(heatOf(1, 0)).toBe(0);
});

it('the placement names each holder of an expert once, whatever slices it has', () => {
  const plan = {
    epoch: 7,
    workers: [{ id: 'a' }, { id: 'b' }],
    experts: [{ layer: 2, slices: 2, expert: [0, 0, 2, 2], slice: [0, 1, 0, 1], worker: [0, 1, 1, 1] }],
  } as unknown as PlacementPlan;
  expect(placementOf(plan)).toEqual({
    epoch: 7,
    workers: ['a', 'b'],
    layers: [{ layer: 2, experts: [[0, 1], [], [1]] }],
  });
  expect(placementOf(null)).toEqual({ epoch: 0, workers: [], layers: [] });
});

it('server-sent events come out whole, however the network cuts them', () => {
  const text = 'event: session\ndata: {"a":1}\n\ndata: x\n\nevent: frame\ndata: {}\n\n';
  for (let size = 1; size <= text.length; size++) {
    const parser = new EventParser();
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
      text.slice(i * size, (i + 1) * size),
    );
    expect(pieces.flatMap((piece) => parser.push(piece))).toEqual([
      { name: 'session', data: '{"a":1}' },
      { name: 'message', data: 'x' },
      { name: 'frame', data: '{}' },
    ]);
  }
});
