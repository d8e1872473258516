import { gunzipSync } from 'node:zlib';
import type { Bus } from '../../platform/bus/bus.ts';
import { SERVED_MODEL } from '../../platform/bus/subjects.ts';
import type { ServedModel__Output as ServedModel } from '../../proto/generated/conclave/v1/ServedModel.ts';
import { conclave, decode, type ModelSpec } from '../../proto/messages.ts';
import { type WeightsFormat, weightsFormats } from '../../proto/weights-formats.ts';

/** A description longer than this is none. */
const MAX_MODEL_BYTES = 2 ** 28;

/** What a cluster serves, checked. */
export interface KnownModel extends ServedModel {
  readonly spec: ModelSpec;
  readonly weights: WeightsFormat;
}

/** What the cluster serves, as its controllers say on the bus. Rejects when none says it in time, or it cannot be read. */
export async function servedModel(bus: Bus, deadlineMs: number): Promise<KnownModel> {
  const control = await bus.bucket('control');
  return new Promise((resolve, reject) => {
    const finish = (act: () => void): void => {
      clearTimeout(timer);
      queueMicrotask(stop);
      act();
    };
    const timer = setTimeout(
      () =>
        finish(() =>
          reject(new Error(`no controller said within ${deadlineMs} ms what the cluster serves; is one running?`)),
        ),
      deadlineMs,
    );
    const stop = control.watch(({ key, value }) => {
      if (key !== SERVED_MODEL || value === null) return;
      finish(() => {
        try {
          resolve(checked(decode(conclave.ServedModel, gunzipSync(value, { maxOutputLength: MAX_MODEL_BYTES }))));
        } catch (error) {
          reject(new Error('what the controller says of the model cannot be read', { cause: error }));
        }
      });
    });
  });
}

function checked(model: ServedModel): KnownModel {
  const { spec, weights } = model;
  if (spec === null) throw new Error('it names no model');
  const format = weightsFormats.find((name) => name === weights);
  if (format === undefined) {
    throw new Error(`weights: expected one of ${weightsFormats.join(', ')}, got "${weights}"`);
  }
  return { ...model, spec, weights: format };
}
