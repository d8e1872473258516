import { readFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { type ChannelCredentials, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { GetStatusResponse__Output as ClusterStatus } from '../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import { conclave } from '../../../proto/messages.ts';
import { CliError, exitCodes } from '../../command/exit.ts';
import { ConfigError } from '../../config/load-config.ts';
import type { ConnectionConfig } from '../../config/operate-config.ts';
import { findTlsMismatch, type TlsContents } from './diagnosis.ts';

type Client = InstanceType<typeof conclave.ControlService>;
type Callback<Response> = (error: ServiceError | null, response?: Response) => void;

/** ControlService of a cluster, for commands. Errors are CliErrors that say what to do. */
export class ControlClient {
  readonly #client: Client;
  readonly #config: ConnectionConfig;
  /** Null: not encrypted. */
  readonly #tls: TlsContents | null;

  constructor(config: ConnectionConfig) {
    this.#config = config;
    this.#tls = readTlsFiles(config);
    this.#client = new conclave.ControlService(config.server, channelCredentials(this.#tls), {
      'grpc.max_receive_message_length': 64 * 2 ** 20,
      // A controller that comes back is found again at once.
      'grpc.max_reconnect_backoff_ms': 2_000,
    });
  }

  get client(): Client {
    return this.#client;
  }

  metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#config.adminKey !== null) metadata.set('authorization', `Bearer ${this.#config.adminKey}`);
    // Names that no header can carry lose the characters that are at fault.
    metadata.set('conclave-operator', `${userName()}@${hostname()}`.replaceAll(/[^\w.@+-]/g, ''));
    return metadata;
  }

  /** Makes one call: `ask` gets the metadata, the deadline and the callback. */
  call<Response>(
    ask: (metadata: Metadata, options: { deadline: number }, done: Callback<Response>) => unknown,
  ): Promise<Response> {
    return new Promise<Response>((resolve, reject) => {
      ask(this.metadata(), { deadline: Date.now() + this.#config.timeout }, (error, response) => {
        if (error === null && response !== undefined) resolve(response);
        else reject(error ?? new Error('no answer'));
      });
    }).catch(async (error: unknown) => {
      throw await this.explain(error as ServiceError);
    });
  }

  status(): Promise<ClusterStatus> {
    return this.call((metadata, options, done) => this.#client.GetStatus({}, metadata, options, done));
  }

  /** Whether a call ended because this side gave it up. */
  cancelled(error: ServiceError): boolean {
    return error.code === status.CANCELLED;
  }

  /** What a failed call means for the person at the terminal. */
  async explain(error: ServiceError): Promise<CliError> {
    const { server, timeout } = this.#config;
    if (error.code === status.UNAVAILABLE) {
      const mismatch = await findTlsMismatch(server, this.#tls);
      if (mismatch !== null) return new CliError(`${server}: ${mismatch.reason}`, mismatch.remedy);
    }
    const unreachable = /^(No connection established|Name resolution failed|.*connect E[A-Z]+)/.test(error.details);
    const cause = /connect E[A-Z]+|Name resolution failed/.exec(error.details)?.[0] ?? '';
    if (error.code === status.UNAVAILABLE && unreachable) {
      return new CliError(
        `no controller answers at ${server}${cause === '' ? '' : `: ${cause}`}`,
        'Is one running there? Give its gRPC address with --server.',
      );
    }
    switch (error.code) {
      case status.DEADLINE_EXCEEDED:
        return new CliError(
          `${server} did not answer within ${timeout / 1_000} s`,
          'Try --timeout, or another --server.',
        );
      case status.UNAUTHENTICATED:
        return new CliError(`${server} does not let this operator in`, 'Give --admin-key (or CONCLAVE_ADMIN_KEY).');
      case status.UNIMPLEMENTED:
        return new CliError(
          `${server} operates no cluster`,
          'Clusters are run by "conclave controller" and by "conclave serve --workers N".',
        );
      case status.INVALID_ARGUMENT:
        return new CliError(error.details, null, exitCodes.usage);
      default:
        return new CliError(error.details || error.message);
    }
  }

  close(): void {
    this.#client.close();
  }
}

/** Whose process this is; containers may run under a number that has no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

function channelCredentials(tls: TlsContents | null): ChannelCredentials {
  if (tls === null) return credentials.createInsecure();
  try {
    return credentials.createSsl(tls.ca, tls.key, tls.cert);
  } catch (error) {
    throw new ConfigError([
      `--tls-ca, --tls-cert, --tls-key: ${error instanceof Error ? error.message : String(error)}`,
    ]);
  }
}

function readTlsFiles({ tls, tlsCa, tlsCert, tlsKey }: ConnectionConfig): TlsContents | null {
  if (!tls && tlsCa === null && tlsCert === null && tlsKey === null) return null;
  const read = (flag: string, path: string | null): Buffer | null => {
    try {
      return path === null ? null : readFileSync(path);
    } catch (error) {
      throw new ConfigError([`--${flag} ${path}: ${error instanceof Error ? error.message : String(error)}`]);
    }
  };
  if ((tlsCert === null) !== (tlsKey === null)) {
    throw new ConfigError(['--tls-cert and --tls-key belong together: expected both or neither']);
  }
  return { ca: read('tls-ca', tlsCa), cert: read('tls-cert', tlsCert), key: read('tls-key', tlsKey) };
}
