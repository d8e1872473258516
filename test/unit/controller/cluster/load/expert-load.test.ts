import { describe, expect, it } from 'vitest';
import { ExpertLoadBook, imbalance } from '../../../../../controller/cluster/load/expert-load.ts';
import { conclave, decode, encode } from '../../../../../proto/messages.ts';

const spec = decode(
  conclave.ModelSpec,
  encode(conclave.ModelSpec, {
    layers: [{ dense: {} }, { moe: { experts: { count: 3 } } }].map((operator) => ({
      blocks: [{ operators: [operator] }],
    })),
  }),
);

function report(seconds: number, layer: number, expertRows: readonly number[]) {
  const layers = [{ layer, expertRows: [...expertRows] }];
  return decode(conclave.LoadReport, encode(conclave.LoadReport, { workerId: 'a', seconds, layers }));
}

describe('ExpertLoadBook', () => {
  it('knows nothing before the first report and takes it as it is', () => {
    const book = new ExpertLoadBook(spec);
    expect(book.rates()).toBeNull();
    book.add(report(2, 1, [10, 0, 4]));
    expect(book.rates()).toEqual([{ layer: 1, expertRows: [5, 0, 2] }]);
  });

  it('follows a change of load with a half-life of 10 s', () => {
    const book = new ExpertLoadBook(spec);
    for (let i = 0; i < 300; i++) book.add(report(1, 1, [8, 0, 0]));
    for (let i = 0; i < 10; i++) book.add(report(1, 1, [0, 8, 0]));
    const [layer] = book.rates() ?? [];
    expect(layer?.expertRows[0]).toBeCloseTo(4, 5);
    expect(layer?.expertRows[1]).toBeCloseTo(4, 5);
  });

  it('counts the rows that it rests on, old ones less', () => {
    const book = new ExpertLoadBook(spec);
    expect(book.rowsSeen(1)).toBe(0);
    book.add(report(1, 1, [8, 4, 0]));
    expect(book.rowsSeen(1)).toBe(12);
    for (let i = 0; i < 10; i++) book.add(report(1, 1, [0, 0, 0]));
    expect(book.rowsSeen(1)).toBeCloseTo(6, 5);
  });

  it('ignores reports that do not fit the model', () => {
    const book = new ExpertLoadBook(spec);
    for (const odd of [report(1, 0, [1]), report(1, 1, [1, 2]), report(0, 1, [1, 2, 3]), report(1, 7, [1, 2, 3])])
      book.add(odd);
    expect(book.rates()).toBeNull();
  });

  it('names the hottest experts, busiest first', () => {
    const book = new ExpertLoadBook(spec);
    book.add(report(1, 1, [1, 9, 4]));
    expect(book.hottest(2)).toEqual([
      { layer: 1, expert: 1 },
      { layer: 1, expert: 2 },
    ]);
  });
});

describe('imbalance', () => {
  it('is the busiest worker over the mean, replicas sharing rows', () => {
    const placement = { layer: 1, slices: 1, expert: [0, 1, 2, 0], slice: [0, 0, 0, 0], worker: [0, 0, 1, 1] };
    const plan = decode(conclave.PlacementPlan, encode(conclave.PlacementPlan, { experts: [placement] }));
    // Worker 0: 3 + 2, worker 1: 1 + 3; mean 4.5.
    expect(imbalance(plan, { layer: 1, expertRows: [6, 2, 1] })).toBeCloseTo(5 / 4.5, 10);
  });
});
