import { ExpertLoadBook } from '../../../../../controller/cluster/load/expert-load.ts';
import { conclave, decode, encode, type PlacementPlan } from '../../../../../proto/messages.ts';

/** Two layers of four experts, every one on a worker of its own. */
export const plan: PlacementPlan = decode(
  conclave.PlacementPlan,
  encode(conclave.PlacementPlan, {
    epoch: 4,
    workers: ['a', 'b', 'c', 'd'].map((id) => ({ id })),
    experts: [0, 1].map((layer) => ({
      ...{ layer, slices: 1, expert: [0, 1, 2, 3], slice: [0, 0, 0, 0], worker: [0, 1, 2, 3] },
    })),
  }),
);

const spec = decode(
  conclave.ModelSpec,
  encode(conclave.ModelSpec, {
    layers: [0, 1].map(() => ({ blocks: [{ operators: [{ moe: { experts: { count: 4 } } }] }] })),
  }),
);

/** Measured in a second: rows by layer and expert. */
export function measured(...layers: readonly (readonly number[])[]): ExpertLoadBook {
  const book = new ExpertLoadBook(spec);
  measure(book, ...layers);
  return book;
}

/** A second more. */
export function measure(book: ExpertLoadBook, ...layers: readonly (readonly number[])[]): void {
  const rows = layers.map((expertRows, layer) => ({ layer, expertRows: [...expertRows] }));
  book.add(decode(conclave.LoadReport, encode(conclave.LoadReport, { workerId: 'a', seconds: 1, layers: rows })));
}
