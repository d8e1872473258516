import type { FastifyRequest } from 'fastify';

/** What a request shows as its key. Clients of Anthropic's API send it in a header of its own. */
export function authorizationOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['x-api-key'];
  return headers.authorization ?? (typeof key === 'string' ? `Bearer ${key}` : undefined);
}

/** Who asks: the owner of a key, or an address. */
export function clientOf(request: FastifyRequest): string {
  return authorizationOf(request) ?? request.ip;
}
