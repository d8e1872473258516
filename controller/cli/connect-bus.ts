import type { Logger } from 'pino';
import { NatsBus } from '../../proto/bus/nats-bus.ts';
import type { NatsOptions } from '../../proto/bus/nats-options.ts';
import { troubleLog } from '../../proto/trouble-log.ts';

/** Waits until a server answers, saying so; a bus that goes away later comes back by itself. */
export async function connectBus(
  options: NatsOptions,
  { cluster, natsReplicas }: { readonly cluster: string; readonly natsReplicas: number },
  log: Logger,
): Promise<NatsBus> {
  const bus = await NatsBus.connect({
    ...options,
    cluster,
    replicas: natsReplicas,
    onTrouble: troubleLog(
      (what, err, more) => log.warn({ err, ...(more > 0 && { repeated: more }) }, what),
      () => performance.now(),
    ),
  });
  bus.onState((state) => {
    if (state === 'reconnecting') log.warn('NATS is away: what runs goes on, plans do not change');
    else if (state === 'connected') log.info('NATS is back');
  });
  return bus;
}
