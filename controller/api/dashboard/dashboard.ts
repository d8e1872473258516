/**
 * The dashboard: a page at /, its files, what it shows (once, or as a stream of frames), and what operators change from it.
 * Everything comes from here, nothing from elsewhere, and the page runs no script but these files.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { GetStatusResponse } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import type { PlacementPlan } from '../../../proto/messages.ts';
import { ServiceError } from '../../errors.ts';
import { type DashboardAccess, operatorObstacle } from './access.ts';
import { type Asset, loadAssets } from './assets.ts';
import { Feed } from './feed.ts';
import { frameOf } from './frame.ts';
import { drainFromPage, type Operations, scaleFromPage } from './operations.ts';
import { placementOf } from './placement.ts';

export interface DashboardOptions {
  readonly status: () => GetStatusResponse;
  /** The plan that the cluster works towards; null while there is none. */
  readonly plan: () => PlacementPlan | null;
  readonly access: DashboardAccess;
  /** Null where there is nothing to change: all is one process. */
  readonly operations: Operations | null;
}

const INTERVAL_MS = 2_000;
const MAX_WATCHERS = 64;

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const secure = {
  'content-security-policy': policy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** Adds the dashboard's routes. They ask for keys themselves: the page must load to ask for one. */
export function addDashboard(app: FastifyInstance, options: DashboardOptions): void {
  const { status, plan, access, operations } = options;
  const assets = loadAssets();
  const frame = keptFor(INTERVAL_MS / 2, () => JSON.stringify(frameOf(status())));
  const feed = new Feed({ frame, intervalMs: INTERVAL_MS, maxWatchers: MAX_WATCHERS });
  app.addHook('preClose', async () => feed.close());

  const open = { config: { open: true } };
  const looking = { ...open, onRequest: async (request: FastifyRequest) => checkLooks(request, access) };
  app.get('/', open, (request, reply) => sendAsset(request, reply, assets.get('index.html')));
  app.get<{ Params: { '*': string } }>('/dashboard/assets/*', open, (request, reply) =>
    sendAsset(request, reply, assets.get(request.params['*'])),
  );
  app.get('/dashboard/status', looking, (_request, reply) =>
    reply
      .headers({ ...secure, 'cache-control': 'no-store' })
      .type('application/json; charset=utf-8')
      .send(frame()),
  );
  app.get('/dashboard/placement', looking, (_request, reply) =>
    reply.headers({ ...secure, 'cache-control': 'no-store' }).send(placementOf(plan())),
  );
  app.get('/dashboard/watch', looking, (request, reply) => {
    const obstacle = operations === null ? 'one process serves everything' : operatorObstacle(request, access);
    const session = {
      /** Whether there is a cluster that can be changed. */
      cluster: operations !== null,
      /** Whether the key that was sent may change it. */
      operates: obstacle === null,
      obstacle,
      operatorsNeedKey: access.operatorsNeedKey,
    };
    const headers = { ...(reply.getHeaders() as Record<string, string>), ...secure };
    feed.add(reply.raw, headers, JSON.stringify(session), () => access.looks(request.headers.authorization));
    return reply.hijack();
  });

  const operate =
    (work: (request: FastifyRequest, by: string, operations: Operations) => Promise<object>) =>
    (request: FastifyRequest, reply: FastifyReply): Promise<object> => {
      if (operations === null) throw new ServiceError('NOT_FOUND', 'one process serves everything: nothing to change');
      reply.headers({ ...secure, 'cache-control': 'no-store' });
      return work(request, access.operatorName(request.headers.authorization, 'dashboard'), operations);
    };
  const operating = { ...open, onRequest: async (request: FastifyRequest) => checkOperates(request, access) };
  app.post('/dashboard/scale', operating, operate(scaleFromPage));
  app.post('/dashboard/drain', operating, operate(drainFromPage));
}

function sendAsset(request: FastifyRequest, reply: FastifyReply, asset: Asset | undefined): FastifyReply {
  if (asset === undefined)
    throw new ServiceError('NOT_FOUND', 'the dashboard has no such file; "npm run build" makes them');
  reply.headers({ ...secure, 'cache-control': 'no-cache', etag: asset.tag }).type(asset.type);
  return request.headers['if-none-match'] === asset.tag ? reply.code(304).send() : reply.send(asset.body);
}

function checkLooks({ headers }: FastifyRequest, access: DashboardAccess): void {
  if (access.looks(headers.authorization)) return;
  throw new ServiceError('UNAUTHENTICATED', 'missing or unknown key: the dashboard takes an API key or an admin key');
}

function checkOperates(request: FastifyRequest, access: DashboardAccess): void {
  const obstacle = operatorObstacle(request, access);
  if (obstacle !== null) throw new ServiceError('UNAUTHENTICATED', obstacle);
}

/** What `make` made is used again for so many milliseconds, whoever asks. */
function keptFor<T>(ms: number, make: () => T): () => T {
  let kept: { readonly value: T; readonly at: number } | null = null;
  return () => {
    const at = performance.now();
    if (kept === null || at - kept.at > ms) kept = { value: make(), at };
    return kept.value;
  };
}
