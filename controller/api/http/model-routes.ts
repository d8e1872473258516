/** GET /v1/models and /v1/models/:id. */
import type { FastifyInstance } from 'fastify';
import type { Served } from '../../gateway/inference.ts';
import { resolveModelName } from '../fields/model-name.ts';

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
  const list = () => ({ object: 'list', data: names.map(describe) });
  app.get('/v1/models', list);
  app.get<{ Params: { '*': string } }>('/v1/models/*', (request) => {
    const id = request.params['*'].replace(/\/$/, '');
    return id === '' ? list() : describe(resolveModelName(id, served));
  });
}
