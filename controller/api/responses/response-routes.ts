/** GET and DELETE /v1/responses/:id, and the input items of a response. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { invalidField, ServiceError, shown } from '../../errors.ts';
import { readBody } from '../fields/read-body.ts';
import type { ResponseStore, StoredResponse } from './response-store.ts';

interface Params {
  readonly Params: { readonly id: string };
  readonly Querystring: Readonly<Record<string, unknown>>;
}

const listQuery = z.looseObject({
  limit: z.coerce
    .number('a number from 1 to 100')
    .int('a number from 1 to 100')
    .min(1, 'a number from 1 to 100')
    .max(100, 'a number from 1 to 100')
    .optional(),
  order: z.enum(['asc', 'desc'], '"asc" or "desc"').optional(),
  after: z.string().optional(),
});

export function addResponseRoutes(app: FastifyInstance, store: ResponseStore): void {
  const stored = (id: string): StoredResponse => {
    const found = store.get(id);
    if (found === null)
      throw new ServiceError('NOT_FOUND', `no response ${shown(id)} is kept here`, { field: 'response_id' });
    return found;
  };
  app.get<Params>('/v1/responses/:id', (request) => stored(request.params.id).response);
  app.delete<Params>('/v1/responses/:id', (request) => {
    const { id } = stored(request.params.id).response;
    store.delete(id);
    return { id, object: 'response', deleted: true };
  });
  app.get<Params>('/v1/responses/:id/input_items', (request) => {
    const { limit = 20, order = 'desc', after } = readBody(listQuery, request.query);
    const { input } = stored(request.params.id);
    const items = order === 'asc' ? input : input.toReversed();
    const found = after === undefined ? -1 : items.findIndex((item) => item['id'] === after);
    if (after !== undefined && found === -1)
      throw invalidField('after', after, 'the id of one of the input items of this response');
    const from = found + 1;
    const data = items.slice(from, from + limit);
    return {
      object: 'list',
      data,
      first_id: data[0]?.['id'] ?? null,
      last_id: data.at(-1)?.['id'] ?? null,
      has_more: from + limit < items.length,
    };
  });
}
