import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { plainMatrix } from '../../../../controller/model/checkpoint/parts.ts';
import type { FfnSpec__Output as FfnSpec } from '../../../../proto/generated/conclave/v1/FfnSpec.ts';
import type { TensorRef__Output as TensorRef } from '../../../../proto/generated/conclave/v1/TensorRef.ts';
import { conclave, decode, encode } from '../../../../proto/messages.ts';
import { distinctExperts, expertOf, packExperts } from '../../../../proto/model/experts.ts';
import { ffnTensors } from '../../../../proto/model/tensors.ts';

const prefix = (id: string) => `layers.7.experts.${id}.`;

/** An expert whose tensors lie at the given places. */
function expertAt(id: number, places: readonly Pick<TensorRef, 'file' | 'offset' | 'dtype'>[]): FfnSpec {
  const linear = (name: string, rows: number, cols: number, place: number) => ({
    weight: plainMatrix(rows, cols, { name: `${prefix(String(id))}${name}`, shape: [rows, cols], ...places[place]! }),
    bias: null,
    biasStep: 1,
    biasGroup: 1,
  });
  return {
    gate: linear('w1', 5, 3, 0),
    up: linear('w3', 5, 3, 1),
    down: linear('w2', 3, 5, 2),
    activation: 'ACTIVATION_SILU',
    activationLimit: 0,
  };
}

const place = fc.record({
  file: fc.nat(3),
  offset: fc.oneof(
    fc.nat(1e6),
    fc.nat(60).map((i) => 64 * i),
    fc.maxSafeNat().map((offset) => offset % 2 ** 50),
  ),
  dtype: fc.constantFrom('DATA_TYPE_F32' as const, 'DATA_TYPE_BF16' as const),
});
const experts = fc
  .array(fc.tuple(place, place, place), { minLength: 1, maxLength: 40 })
  .map((all) => all.map((places, id) => expertAt(id, places)));

describe('a table of experts', () => {
  test('gives back every expert, over the wire too', () => {
    fc.assert(
      fc.property(experts, (all) => {
        const table = packExperts(all, prefix);
        const read = decode(conclave.ExpertTable, encode(conclave.ExpertTable, table));
        expect(read).toEqual(table);
        expect(all.map((_, id) => expertOf(read, id))).toEqual(all);
      }),
    );
  });

  test('stands for all experts with one when their encodings are alike', () => {
    const alike = [0, 1, 2].map((id) =>
      expertAt(
        id,
        [0, 1, 2].map((i) => ({ file: id, offset: 30 * i, dtype: 'DATA_TYPE_F16' as const })),
      ),
    );
    expect(distinctExperts(packExperts(alike, prefix))).toHaveLength(1);
    const [first, ...others] = alike;
    const wide = ffnTensors(first!).map(({ file, offset }) => ({ file, offset, dtype: 'DATA_TYPE_F32' as const }));
    expect(
      distinctExperts(packExperts([...others.map((_, id) => alike[id]!), expertAt(2, wide)], prefix)),
    ).toHaveLength(3);
  });

  test('refuses experts that differ in shape or name, and ids that it does not have', () => {
    const places = [0, 1, 2].map((i) => ({ file: 0, offset: i, dtype: 'DATA_TYPE_F32' as const }));
    const [a, b] = [expertAt(0, places), expertAt(1, places)];
    expect(() => packExperts([a, { ...b, up: a.down }], prefix)).toThrow('expert 1 is not like expert 0');
    expect(() => packExperts([a, a], prefix)).toThrow('expert 1 is not like expert 0');
    expect(() => packExperts([], prefix)).toThrow('at least one');
    expect(() => expertOf(packExperts([a, b], prefix), 2)).toThrow('expected an expert below 2, got 2');
  });
});
