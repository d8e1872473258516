/** GET /version and /openapi.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { packageRoot } from '../../../proto/messages.ts';
import { openapiDocument } from '../openapi/document.ts';

export function addAboutRoutes(app: FastifyInstance): void {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  let document: string | null = null;
  app.get('/version', () => ({ version }));
  app.get('/openapi.json', (_request, reply) => {
    document ??= JSON.stringify(openapiDocument(version));
    return reply.type('application/json; charset=utf-8').send(document);
  });
}
