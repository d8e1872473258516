/** GET /v1/models and /v1/models/:id, and which model a request means. */
import type { FastifyInstance } from 'fastify';
import { ServiceError, shown } from '../../errors.ts';
import type { Served } from '../../gateway/inference.ts';

export function addModelRoutes(app: FastifyInstance, served: Served): void {
  const { names, created, maxModelLen } = served.model;
  const describe = (id: string) => ({
    id,
    object: 'model',
    created,
    owned_by: 'conclave',
    root: names[0],
    parent: null,
    max_model_len: maxModelLen,
  });
  app.get('/v1/models', () => ({ object: 'list', data: names.map(describe) }));
  app.get<{ Params: { '*': string } }>('/v1/models/*', (request) => {
    return describe(resolveModelName(request.params['*'], served));
  });
}

/** The name of the model that a request asks for; none or "" means the served one. */
export function resolveModelName(asked: string | null, served: Served): string {
  const { names } = served.model;
  if (asked === null || asked === '') return names[0];
  if (names.includes(asked)) return asked;
  const message = `the model ${shown(asked)} is not served here; served: ${names.map(shown).join(', ')}`;
  throw new ServiceError('MODEL_NOT_FOUND', message, { field: 'model' });
}
