import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { ModelReport } from './report.ts';

/**
 * The format that "auto" stands for: the checkpoint's own precision, by what takes most of its bytes. f16 has more precision
 * than bf16, so it is multiplied in f32; codes of 4 bits or fewer are kept in q4, wider ones in q8.
 */
export function ownFormat({
  bytesByType,
  bytesByCodeBits,
}: Pick<ModelReport, 'bytesByType' | 'bytesByCodeBits'>): WeightsFormat {
  const [codes] = largest(bytesByCodeBits);
  const [numbers] = largest(bytesByType);
  if (codes !== undefined && codes[0] !== '0') return Number(codes[0]) <= 4 ? 'q4' : 'q8';
  return numbers?.[0] === 'BF16' ? 'bf16' : 'f32';
}

function largest(bytes: Readonly<Record<string, number>>): readonly (readonly [string, number])[] {
  return Object.entries(bytes).toSorted(([, a], [, b]) => b - a);
}
