/** GET /health, /ready and /metrics: open to everyone, so that probes and scrapers need no key. */
import type { FastifyInstance } from 'fastify';
import type { Inference } from '../../gateway/inference.ts';
import type { Metrics } from '../metrics/metrics.ts';

export function addHealthRoutes(app: FastifyInstance, inference: Inference, metrics: Metrics): void {
  const open = { config: { open: true } };

  /** The process lives. */
  app.get('/health', open, () => ({ status: 'ok' }));

  /** Requests can be answered; if not, why. Notices are what operators should know all the same. */
  app.get('/ready', open, (_request, reply) => {
    const reasons = inference.unreadiness();
    const ready = reasons.length === 0;
    return reply.code(ready ? 200 : 503).send({ ready, reasons, notices: inference.notices() });
  });

  app.get('/metrics', open, async (_request, reply) => {
    return reply.type(metrics.contentType).send(await metrics.render());
  });
}
