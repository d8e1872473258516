/**
 * How every gRPC server of Conclave is made: health and reflection on each port, bounded messages and streams, TLS with
 * optional client certificates, API keys.
 */
import {
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { type ApiKeys, openAccess } from './api-keys.ts';
import { packageDefinition } from './messages.ts';

export interface TlsFiles {
  /** PEM. */
  readonly certificate: Buffer;
  /** PEM. */
  readonly privateKey: Buffer;
  /** PEM; with it, clients must show a certificate that it signed. */
  readonly clientAuthority: Buffer | null;
}

export interface GrpcServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: TlsFiles | null;
  /** Asked for by every service but grpc.health.v1. */
  readonly apiKeys?: ApiKeys;
  /** Largest message taken, in bytes. Default 16 MiB. */
  readonly maxMessageBytes?: number;
  /** Calls at a time per connection. Default 1024. */
  readonly maxConcurrentStreams?: number;
}

/** A gRPC server with health checking and reflection. Nothing is served until `start`. */
export interface GrpcServer {
  /** `name` is the full one, such as "conclave.v1.InferenceService"; it takes part in health checking. */
  addService(name: string, definition: ServiceDefinition, handlers: UntypedServiceImplementation): void;
  /** What health checks say of a service, and of the whole server under "". */
  setServing(serving: boolean): void;
  /** Listens; the port is returned. */
  start(): Promise<number>;
  /** Takes no new call, waits for those that run, and cancels what is left after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

const mebibyte = 2 ** 20;

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes ?? 16 * mebibyte,
    'grpc.max_send_message_length': options.maxMessageBytes ?? 16 * mebibyte,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams ?? 1024,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
    'grpc.enable_channelz': 0,
    interceptors: [requireApiKey(options.apiKeys ?? openAccess)],
  });
  const health = new HealthImplementation({ '': 'NOT_SERVING' });
  health.addToServer(server);
  const services: string[] = [];
  return {
    addService(name, definition, handlers) {
      server.addService(definition, handlers);
      services.push(name);
      health.setStatus(name, 'NOT_SERVING');
    },
    setServing(serving) {
      for (const name of ['', ...services]) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    },
    start() {
      new ReflectionService(packageDefinition, { services }).addToServer(server);
      const host = options.host.includes(':') ? `[${options.host}]` : options.host;
      return new Promise((resolve, reject) => {
        server.bindAsync(`${host}:${options.port}`, credentials(options.tls ?? null), (error, port) => {
          if (error === null) resolve(port);
          else reject(new Error(`gRPC cannot listen on ${host}:${options.port}: ${error.message}`, { cause: error }));
        });
      });
    },
    close(graceMs) {
      return new Promise((resolve) => {
        const timer = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}

function credentials(tls: TlsFiles | null): ServerCredentials {
  if (tls === null) return ServerCredentials.createInsecure();
  const pair = { cert_chain: tls.certificate, private_key: tls.privateKey };
  return ServerCredentials.createSsl(tls.clientAuthority, [pair], tls.clientAuthority !== null);
}

function requireApiKey(apiKeys: ApiKeys): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, forward) => {
          const presented = metadata.get('authorization')[0]?.toString();
          if (method.path.startsWith('/grpc.health.v1.') || apiKeys.allows(presented)) forward(metadata);
          else call.sendStatus({ code: status.UNAUTHENTICATED, details: 'missing or unknown API key' });
        });
        next(listener.build());
      },
    });
}
