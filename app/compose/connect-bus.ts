import type { Logger } from 'pino';
import { BusError } from '../../platform/bus/bus.ts';
import { NatsBus } from '../../platform/bus/nats-bus.ts';
import type { NatsOptions } from '../../platform/bus/nats-options.ts';
import { memberErrorLog } from '../../platform/process/error-log.ts';
import { formatDuration } from '../../platform/process/quantities.ts';
import { CliError } from '../command/exit.ts';
import { tlsFailure } from '../command/tls-failure.ts';

export interface BusSettings {
  readonly cluster: string;
  readonly natsReplicas: number;
  /** Milliseconds. */
  readonly natsTimeout: number;
}

const remedy = 'Start one with "nats-server -js", or name another with --nats.';

/**
 * Waits until a server answers, saying once for each cause why it does not; a bus that goes away later comes back by
 * itself. Throws a CliError when no server answers in time, or when waiting cannot help.
 */
export async function connectBus(options: NatsOptions, settings: BusSettings, log: Logger): Promise<NatsBus> {
  const { cluster, natsReplicas, natsTimeout } = settings;
  const where = `NATS at ${options.servers.join(', ')}`;
  let last: string | null = null;
  let write = (_: string, error: unknown): void => {
    const reason = reasonOf(error);
    if (reason !== last) log.warn(`${where}: ${reason}; trying again until it answers. ${remedy}`);
    last = reason;
  };
  const onError = (what: string, error: unknown): void => write(what, error);
  const late = AbortSignal.timeout(natsTimeout);
  const bus = await NatsBus.connect({ ...options, cluster, replicas: natsReplicas, onError }, late).catch(
    (error: unknown) => {
      if (!(error instanceof BusError)) throw error;
      if (error.code === 'CLOSED') {
        throw new CliError(
          `${where} did not answer within ${formatDuration(natsTimeout)}: ${last}`,
          `${remedy} --nats-timeout says how long to wait.`,
        );
      }
      const failure = tlsFailure(error.cause, options.tls !== undefined);
      if (failure !== null) throw new CliError(`${where}: ${failure.reason}`, failure.remedy);
      throw new CliError(error.message, error.message.includes('JetStream') ? remedy : null);
    },
  );
  if (last !== null) log.info('NATS answers');
  write = memberErrorLog(log, bus, () => performance.now());
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
