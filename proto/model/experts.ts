/**
 * The table of a layer's experts: one column per tensor says where that tensor of every expert lies, in a byte or two each,
 * as experts are alike and mostly at equal distances. A model of 60 layers of 384 experts fits into one message of the bus.
 */
import type { ExpertTable__Output as ExpertTable } from '../generated/conclave/v1/ExpertTable.ts';
import type { FfnSpec__Output as FfnSpec } from '../generated/conclave/v1/FfnSpec.ts';
import type { TensorPlaces__Output as TensorPlaces } from '../generated/conclave/v1/TensorPlaces.ts';
import type { TensorRef__Output as TensorRef } from '../generated/conclave/v1/TensorRef.ts';
import { ffnTensors, mapFfnTensors } from './tensors.ts';

/** Stands for an expert's id in the names of a table's tensors. */
const idMark = '{}';

/**
 * The table of `experts`, by id. `prefix` is what the names of the tensors of an expert begin with, by its id. Throws a
 * RangeError when they differ in more than files, offsets and encodings of elements.
 */
export function packExperts(experts: readonly FfnSpec[], prefix: (id: string) => string): ExpertTable {
  const [first] = experts;
  if (first === undefined) throw new RangeError('expected at least one expert');
  const tensors = experts.map(ffnTensors);
  const pattern = (tensor: TensorRef): string => tensor.name.replace(prefix('0'), prefix(idMark));
  const places = ffnTensors(first).map((tensor, column) => {
    const name = pattern(tensor);
    return packPlaces(
      tensors.map((own, id) => {
        const other = own[column];
        if (other === undefined || other.name !== nameOf(name, id) || other.shape.join() !== tensor.shape.join()) {
          throw new RangeError(`expert ${id} is not like expert 0, which has ${tensor.name} [${tensor.shape.join()}]`);
        }
        return other;
      }),
    );
  });
  const expert = mapFfnTensors(first, (tensor) => ({ ...tensor, name: pattern(tensor), file: 0, offset: 0 }));
  return { count: experts.length, expert, places };
}

/** Expert `id` of a table. */
export function expertOf(table: ExpertTable, id: number): FfnSpec {
  if (!(table.expert !== null && id >= 0 && id < table.count)) {
    throw new RangeError(`expected an expert below ${table.count}, got ${id}`);
  }
  let column = 0;
  return mapFfnTensors(table.expert, (tensor) => placeOf(tensor, table.places[column++], id));
}

/** Experts that may differ in bytes: one that stands for all where all are encoded alike, else each. */
export function distinctExperts(table: ExpertTable): readonly FfnSpec[] {
  if (table.expert === null || table.count === 0) return [];
  const alike = table.places.every(({ runDtypes }) => runDtypes.length === 0);
  return alike ? [table.expert] : Array.from({ length: table.count }, (_, id) => expertOf(table, id));
}

function packPlaces(tensors: readonly TensorRef[]): TensorPlaces {
  const runs: { file: number; dtype: TensorRef['dtype']; offsets: number[] }[] = [];
  for (const { file, dtype, offset } of tensors) {
    const last = runs.at(-1);
    if (last?.file === file && last.dtype === dtype) last.offsets.push(offset);
    else runs.push({ file, dtype, offsets: [offset] });
  }
  const runOffsets = runs.map(({ offsets }) => offsets.reduce((least, offset) => Math.min(least, offset)));
  const distances = runs.flatMap(({ offsets }, run) => offsets.map((offset) => offset - runOffsets[run]!));
  const unit = distances.reduce(greatestCommonDivisor, 0);
  const dtypes = runs.map(({ dtype }) => dtype);
  return {
    runFiles: runs.map(({ file }) => file),
    runLengths: runs.map(({ offsets }) => offsets.length),
    runOffsets,
    unit,
    steps: distances.map((distance) => (unit === 0 ? 0 : distance / unit)),
    runDtypes: dtypes.every((dtype) => dtype === dtypes[0]) ? [] : dtypes,
  };
}

function placeOf(tensor: TensorRef, places: TensorPlaces | undefined, id: number): TensorRef {
  let run = 0;
  let end = 0;
  for (const length of places?.runLengths ?? []) {
    end += length;
    if (id < end) break;
    run++;
  }
  const file = places?.runFiles[run];
  const start = places?.runOffsets[run];
  const step = places?.steps[id];
  if (places === undefined || file === undefined || start === undefined || step === undefined) {
    throw new RangeError(`expert ${id} has no place for ${tensor.name}`);
  }
  const dtype = places.runDtypes[run] ?? tensor.dtype;
  return { ...tensor, name: nameOf(tensor.name, id), file, offset: start + places.unit * step, dtype };
}

function nameOf(pattern: string, id: number): string {
  return pattern.replace(idMark, String(id));
}

function greatestCommonDivisor(a: number, b: number): number {
  let [large, small] = [a, b];
  while (small !== 0) [large, small] = [small, large % small];
  return large;
}
