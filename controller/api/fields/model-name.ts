import { ServiceError, shown } from '../../errors.ts';
import type { Served } from '../../gateway/inference.ts';

/** The name of the model that a request asks for; none or "" means the served one. */
export function resolveModelName(asked: string | null, served: Served): string {
  const { names } = served.model;
  if (asked === null || asked === '') return names[0];
  if (names.includes(asked)) return asked;
  const message = `the model ${shown(asked)} is not served here; served: ${names.map(shown).join(', ')}`;
  throw new ServiceError('MODEL_NOT_FOUND', message, { field: 'model' });
}
