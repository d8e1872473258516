import type { Logger } from 'pino';
import { BusError } from '../../proto/bus/bus.ts';
import { NatsBus } from '../../proto/bus/nats-bus.ts';
import type { NatsOptions } from '../../proto/bus/nats-options.ts';
import { troubleLog } from '../../proto/trouble-log.ts';
import { formatDuration } from '../quantities.ts';
import { CliError } from './exit.ts';
import { tlsFailure } from './tls-failure.ts';

export interface BusSettings {
  readonly cluster: string;
  readonly natsReplicas: number;
  /** Milliseconds. */
  readonly natsTimeout: number;
}

/**
 * Waits until a server answers, saying so; a bus that goes away later comes back by itself. Throws a CliError when no server
 * answers in time, or when waiting cannot help.
 */
export async function connectBus(options: NatsOptions, settings: BusSettings, log: Logger): Promise<NatsBus> {
  const { cluster, natsReplicas, natsTimeout } = settings;
  const where = `NATS at ${options.servers.join(', ')}`;
  let last = '';
  const write = troubleLog(
    (what, error, more) => log.warn({ ...(more > 0 && { repeated: more }) }, `${what}: ${reasonOf(error)}`),
    () => performance.now(),
  );
  const onTrouble = (what: string, error: unknown): void => {
    last = reasonOf(error);
    write(what, error);
  };
  const late = AbortSignal.timeout(natsTimeout);
  const bus = await NatsBus.connect({ ...options, cluster, replicas: natsReplicas, onTrouble }, late).catch(
    (error: unknown) => {
      if (!(error instanceof BusError)) throw error;
      if (error.code === 'CLOSED') {
        throw new CliError(
          `${where} did not answer within ${formatDuration(natsTimeout)}: ${last}`,
          'Is one running there, with JetStream ("nats-server -js")? --nats-timeout says how long to wait.',
        );
      }
      const failure = tlsFailure(error.cause, options.tls?.cert !== undefined);
      if (failure === null) throw error;
      throw new CliError(`${where}: ${failure.reason}`, failure.remedy);
    },
  );
  bus.onState((state) => {
    if (state === 'reconnecting') log.warn('NATS is away: what runs goes on, plans do not change');
    else if (state === 'connected') log.info('NATS is back');
  });
  return bus;
}

function reasonOf(error: unknown): string {
  const cause = (error as { readonly chainedError?: unknown } | null)?.chainedError;
  return cause instanceof Error ? cause.message : error instanceof Error ? error.message : String(error);
}
