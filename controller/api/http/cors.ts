/** Which pages of other sites may use the API from a browser. The dashboard serves its own page only. */
import type { FastifyInstance } from 'fastify';

/** Seconds for which a browser remembers what it may do. */
const maxAge = 3600;
const exposed = 'x-request-id, retry-after';

/** `origins`: such as "https://example.com"; "*": all. */
export function addCors(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return;
  const all = origins.includes('*');
  app.addHook('onRequest', async (request, reply) => {
    const {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': headers,
    } = request.headers;
    if (origin === undefined || /^\/dashboard(\/|$)/.test(request.url)) return undefined;
    if (!all) reply.header('vary', 'Origin');
    if (!all && !origins.includes(origin)) return undefined;
    reply.header('access-control-allow-origin', all ? '*' : origin);
    if (request.method !== 'OPTIONS' || method === undefined) {
      reply.header('access-control-expose-headers', exposed);
      return undefined;
    }
    // A browser asks without a key whether it may ask with one.
    reply.headers({
      'access-control-allow-methods': 'GET, POST, DELETE',
      'access-control-allow-headers': headers ?? 'authorization, content-type',
      'access-control-max-age': maxAge,
    });
    return reply.code(204).send();
  });
}
