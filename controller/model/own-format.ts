import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { ModelReport } from './report.ts';

/**
 * The format that "auto" stands for: the checkpoint's own precision, by the element type of most of its bytes. f16 has
 * more precision than bf16, so it is multiplied in f32; numbers that codes stand for are kept in bf16.
 */
export function ownFormat(bytesByType: ModelReport['bytesByType']): WeightsFormat {
  const [most] = Object.entries(bytesByType).toSorted(([, a], [, b]) => b - a);
  return most === undefined || most[0] === 'F32' || most[0] === 'F16' ? 'f32' : 'bf16';
}
