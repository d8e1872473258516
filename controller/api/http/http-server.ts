/**
 * The HTTP side: limits, request ids, API keys, errors in OpenAI's shape, and the routes.
 */
import type { Server as HttpsServer } from 'node:https';
import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { ApiKeys } from '../../../platform/rpc/api-keys.ts';
import type { TlsSource } from '../../../platform/tls/tls-source.ts';
import { ServiceError } from '../../errors.ts';
import type { Inference } from '../../gateway/inference.ts';
import type { ErrorFormat } from '../answers/error-format.ts';
import { answerBrokenRequest, fromFramework, sendError } from '../answers/error-response.ts';
import { asSent, JsonBody } from '../fields/json-body.ts';
import { requestIdOf } from '../fields/request-id.ts';
import { addCountTokensRoute } from '../messages/messages.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { addAboutRoutes } from './about-routes.ts';
import { BodyBudget } from './body-budget.ts';
import { authorizationOf } from './client.ts';
import { addCors } from './cors.ts';
import { addGenerateRoutes } from './generate-routes.ts';
import { addHealthRoutes } from './health-routes.ts';
import { addModelRoutes } from './model-routes.ts';
import { addRetirement, type Retirement } from './retirement.ts';
import { addTokenizeRoutes } from './tokenize-routes.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route needs no API key. */
    open?: boolean;
    /** How its errors are written; default: OpenAI's way. */
    errors?: ErrorFormat;
  }
}

export interface HttpOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** No client has to show a certificate: probes and most clients have none. Null: not encrypted. */
  readonly tls: TlsSource | null;
  readonly apiKeys: ApiKeys;
  /** Sites whose pages may use the API from a browser; "*": all. */
  readonly allowedOrigins: readonly string[];
  /** Largest request body, in bytes. */
  readonly maxBodyBytes: number;
  /** Bytes of all request bodies together. */
  readonly maxBodyBytesTogether: number;
  /** Largest request headers together, in bytes. */
  readonly maxHeaderBytes: number;
  /** Time in which a request's headers, and the whole request, must arrive. */
  readonly receiveTimeoutMs: number;
  readonly logger: FastifyBaseLogger;
}

export interface HttpServer {
  readonly app: FastifyInstance;
  /** Listens; the port is returned. */
  start(): Promise<number>;
  /** How its clients are sent elsewhere before `close`. */
  readonly retirement: Retirement;
  /** Stops listening, lets answers finish for `graceMs`, and closes all connections. */
  close(graceMs: number): Promise<void>;
}

export function createHttpServer(inference: Inference, metrics: Metrics, options: HttpOptions): HttpServer {
  const app = createApp(options);
  const retirement = addRetirement(app);
  const bodies = new BodyBudget(options.maxBodyBytesTogether);
  app.removeContentTypeParser('text/plain');
  const parse = app.getDefaultJsonParser('remove', 'remove');
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, text, done) => {
    // Clients name a type although there is nothing to send.
    if (text === '' && request.method === 'DELETE') return done(null, null);
    return void parse(request, text, (error, value) => done(error, new JsonBody(value, text)));
  });

  app.addHook('onRoute', ({ method, url }) => {
    for (const name of [method].flat()) if (name !== 'HEAD') metrics.onHttpRoute(name, url);
  });
  app.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));
  addCors(app, options.allowedOrigins);
  app.addHook('onRequest', async (request) => {
    if (request.routeOptions.config.open !== true && !options.apiKeys.allows(authorizationOf(request))) {
      throw new ServiceError('UNAUTHENTICATED', 'missing or unknown API key: send "Authorization: Bearer KEY"');
    }
  });
  app.addHook('preParsing', async (request, reply, payload) => bodies.take(request, reply, payload));
  app.addHook('onResponse', async (request, reply) => {
    metrics.onHttpResponse(request.method, request.routeOptions.url ?? 'unknown', reply.statusCode, reply.elapsedTime);
    // Without what follows a "?", where clients have been seen to put keys.
    const [method, path] = [request.method, request.url.split('?', 1)[0]];
    const call = { method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 };
    options.logger.debug({ ...call, requestId: request.id }, 'HTTP');
  });
  app.setErrorHandler((error, request, reply) => {
    const failure = fromFramework(error, options.maxBodyBytes);
    if (failure.code === 'INTERNAL') request.log.error({ err: failure.cause ?? failure }, 'a request failed');
    return sendError(reply, asSent(failure, request.body), request.routeOptions.config.errors);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const methods = knownMethods(app, path);
    if (methods.length === 0)
      return sendError(reply, new ServiceError('NOT_FOUND', `there is nothing at ${path.slice(0, 200)}`));
    reply.header('allow', methods.join(', '));
    const message = `${path} takes ${methods.join(' or ')}, not ${request.method}`;
    return sendError(reply, new ServiceError('METHOD_NOT_ALLOWED', message));
  });

  addAboutRoutes(app);
  addHealthRoutes(app, inference, metrics);
  addModelRoutes(app, inference);
  addTokenizeRoutes(app, inference);
  addGenerateRoutes(app, inference);
  addCountTokensRoute(app, inference);

  return {
    app,
    retirement,
    async start() {
      await app.listen({ host: options.host, port: options.port });
      const address = app.server.address();
      return typeof address === 'object' && address !== null ? address.port : options.port;
    },
    async close(graceMs) {
      const timer = setTimeout(() => app.server.closeAllConnections(), graceMs);
      await app.close();
      clearTimeout(timer);
    },
  };
}

function createApp(options: HttpOptions): FastifyInstance {
  const server = {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.receiveTimeoutMs,
    requestTimeout: options.receiveTimeoutMs,
    connectionsCheckingInterval: Math.min(30_000, options.receiveTimeoutMs),
  };
  const { tls } = options;
  const app: FastifyInstance = fastify({
    ...(tls === null ? { http: server } : { https: { ...server, ...secureContext(tls) } }),
    bodyLimit: options.maxBodyBytes,
    onProtoPoisoning: 'remove',
    onConstructorPoisoning: 'remove',
    requestTimeout: options.receiveTimeoutMs,
    keepAliveTimeout: 75_000,
    forceCloseConnections: 'idle',
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket),
    routerOptions: { maxParamLength: 512 },
    frameworkErrors: (error, _request, reply) => void sendError(reply, fromFramework(error, options.maxBodyBytes)),
  });
  if (tls !== null) followTls(app, tls);
  return app;
}

/** New connections get what the source has then; those that are there stay. */
function followTls(app: FastifyInstance, tls: TlsSource): void {
  const stop = tls.follow(() => (app.server as HttpsServer).setSecureContext(secureContext(tls)));
  app.addHook('onClose', async () => stop());
}

function secureContext({ current: { certificate, privateKey } }: TlsSource) {
  return { cert: certificate, key: privateKey };
}

/** Routes of which paths are only the beginning. */
const patterns: readonly (readonly [RegExp, string])[] = [
  [/^\/v1\/models\/./, '/v1/models/*'],
  [/^\/v1\/responses\/[^/]+$/, '/v1/responses/:id'],
  [/^\/v1\/responses\/[^/]+\/input_items$/, '/v1/responses/:id/input_items'],
];

function knownMethods(app: FastifyInstance, path: string): readonly string[] {
  const url = patterns.find(([pattern]) => pattern.test(path))?.[1] ?? path;
  return ['GET', 'HEAD', 'POST', 'DELETE'].filter((method) => app.hasRoute({ method: method, url }));
}
