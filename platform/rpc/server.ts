/**
 * How every gRPC server of Conclave is made: health and reflection on each port, bounded messages and streams, TLS with
 * optional client certificates, API keys.
 */
import {
  type ChannelOptions,
  type Metadata,
  Server,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { addReflection, reflectionServices } from '../../proto/reflection.ts';
import { serverCredentials } from '../tls/grpc-credentials.ts';
import type { ServerTls } from '../tls/tls-source.ts';
import { type ApiKeys, openAccess } from './api-keys.ts';

export interface GrpcServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: ServerTls | null;
  /**
   * Asked for by every service but grpc.health.v1 and those that have an access rule of their own. Reflection lets those in
   * who may call any of the services.
   */
  readonly apiKeys?: ApiKeys;
  /** Called with every call that has ended. */
  readonly onCall?: (call: EndedCall) => void;
  /** Largest message taken, in bytes. Default 16 MiB. */
  readonly maxMessageBytes?: number;
  /** Calls at a time per connection. Default 1024. */
  readonly maxConcurrentStreams?: number;
  /** Further options of the channels, such as flow control. */
  readonly channelOptions?: ChannelOptions;
}

export interface EndedCall {
  /** Such as "/conclave.v1.InferenceService/Generate". */
  readonly path: string;
  readonly status: status;
  readonly elapsedMs: number;
  /** Of the metadata that was sent back; null without one. */
  readonly requestId: string | null;
}

/** Whether a call with this metadata from this peer (its address and port) is let in. */
export type AccessRule = (metadata: Metadata, peer: string) => boolean;

/** A gRPC server with health checking and reflection. Nothing is served until `start`. */
export interface GrpcServer {
  /**
   * `name` is the full one, such as "conclave.v1.InferenceService"; it takes part in health checking. `access` decides on its
   * calls instead of the API keys.
   */
  addService(
    name: string,
    definition: ServiceDefinition,
    handlers: UntypedServiceImplementation,
    access?: AccessRule,
  ): void;
  /** What health checks say of a service, and of the whole server under "". */
  setServing(serving: boolean): void;
  /** Listens; the port is returned. */
  start(): Promise<number>;
  /** Asks every client to connect again; calls that run go on, and new connections are taken. */
  retire(): void;
  /** Takes no new call, waits for those that run, and cancels what is left after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

const mebibyte = 2 ** 20;
/** Calls of a server that retires are ended by `close`, before this. */
const longestDrainMs = 2 ** 31 - 1;
const healthService = 'grpc.health.v1.Health';

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const rules = new Map<string, AccessRule>();
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes ?? 16 * mebibyte,
    'grpc.max_send_message_length': options.maxMessageBytes ?? 16 * mebibyte,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams ?? 1024,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
    'grpc.enable_channelz': 0,
    ...options.channelOptions,
    interceptors: [
      ...(options.onCall === undefined ? [] : [watch(options.onCall)]),
      guard(options.apiKeys ?? openAccess, rules),
    ],
  });
  const health = new HealthImplementation({ '': 'NOT_SERVING' });
  health.addToServer(server);
  const services: string[] = [];
  let bound: string | null = null;
  return {
    addService(name, definition, handlers, access) {
      server.addService(definition, handlers);
      if (access !== undefined) rules.set(name, access);
      services.push(name);
      health.setStatus(name, 'NOT_SERVING');
    },
    setServing(serving) {
      for (const name of ['', ...services]) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    },
    start() {
      addReflection(server, [healthService, ...services]);
      const host = options.host.includes(':') ? `[${options.host}]` : options.host;
      return new Promise((resolve, reject) => {
        server.bindAsync(`${host}:${options.port}`, serverCredentials(options.tls ?? null), (error, port) => {
          if (error === null) {
            bound = `${host}:${port}`;
            resolve(port);
          } else reject(listenError(error, options));
        });
      });
    },
    retire() {
      if (bound !== null) server.drain(bound, longestDrainMs);
    },
    close(graceMs) {
      return new Promise((resolve) => {
        // forceShutdown alone ends no call where channelz is off: it knows no connection then.
        if (bound !== null) server.drain(bound, graceMs);
        // A socket whose other end is slow to go away must not hold up whoever closes the server.
        const timer = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, graceMs);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}

/** An error as net.Server has it: with `code`, `syscall`, `address` and `port`. */
function listenError(error: Error, { host: address, port }: GrpcServerOptions): Error {
  const message = `gRPC cannot listen on ${address}:${port}: ${error.message}`;
  const code = /listen (E[A-Z]+)/.exec(error.message)?.[1] ?? 'UNAVAILABLE';
  return Object.assign(new Error(message, { cause: error }), { code, syscall: 'listen', address, port });
}

function watch(onCall: (call: EndedCall) => void): ServerInterceptor {
  return ({ path }, call) => {
    const startedAt = performance.now();
    let requestId: string | null = null;
    let ended = false;
    const end = (code: status): void => {
      if (!ended) onCall({ path, status: code, elapsedMs: performance.now() - startedAt, requestId });
      ended = true;
    };
    return new ServerInterceptingCall(call, {
      start(next) {
        next(new ServerListenerBuilder().withOnCancel(() => end(status.CANCELLED)).build());
      },
      sendMetadata(metadata, next) {
        requestId = metadata.get('x-request-id')[0]?.toString() ?? null;
        next(metadata);
      },
      sendStatus(sent, next) {
        end(sent.code ?? status.UNKNOWN);
        next(sent);
      },
    });
  };
}

function guard(apiKeys: ApiKeys, rules: ReadonlyMap<string, AccessRule>): ServerInterceptor {
  const byApiKey: AccessRule = (metadata) => apiKeys.allows(metadata.get('authorization')[0]?.toString());
  const byAny: AccessRule = (...call) => byApiKey(...call) || [...rules.values()].some((rule) => rule(...call));
  const ruleFor = (service: string): AccessRule => {
    if (service === healthService) return () => true;
    return reflectionServices.includes(service) ? byAny : (rules.get(service) ?? byApiKey);
  };
  return (method, call) => {
    const service = method.path.split('/')[1] ?? '';
    const allows = ruleFor(service);
    return new ServerInterceptingCall(call, {
      start(next) {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, forward) => {
          if (allows(metadata, call.getPeer())) forward(metadata);
          else call.sendStatus({ code: status.UNAUTHENTICATED, details: `missing or unknown key for ${service}` });
        });
        next(listener.build());
      },
    });
  };
}
