import type { Metadata, ServiceError } from '@grpc/grpc-js';
import { Command } from 'commander';
import type { z } from 'zod';
import type { WatchEventsResponse__Output as WatchEventsResponse } from '../../../proto/generated/conclave/v1/WatchEventsResponse.ts';
import { addOptions, configOf } from '../../command/command-options.ts';
import { CliError } from '../../command/exit.ts';
import { eventsSchema } from '../../config/operate-config.ts';
import { eventJson } from './cluster-json.ts';
import type { ControlClient } from './control-client.ts';
import { eventText } from './status-text.ts';
import { withControl } from './with-control.ts';

type EventsConfig = Readonly<z.output<typeof eventsSchema>>;

/** `conclave events`: one line per event; with --output json one object per line. */
export function eventsCommand(): Command {
  const command = new Command('events').description(
    'Shows what happened in a cluster, and with --follow what happens.',
  );
  return addOptions(command, eventsSchema).action(async () => {
    const { config } = configOf(command, eventsSchema, process.env);
    await withControl(config, (control) =>
      watch(control, config).catch(async (error: unknown) => {
        throw error instanceof CliError ? error : await control.explain(error as ServiceError);
      }),
    );
  });
}

/** Until the controller goes away, or without --follow until all past events came. Ctrl-C ends the process. */
function watch(control: ControlClient, config: EventsConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = control.client.WatchEvents({ backlog: config.backlog }, control.metadata());
    const timer = setTimeout(() => call.cancel(), config.timeout);
    let left = Number.POSITIVE_INFINITY;
    let answered = false;
    const endWhenAll = (): void => {
      if (left <= 0) call.cancel();
    };
    call.on('metadata', (metadata: Metadata) => {
      clearTimeout(timer);
      answered = true;
      if (!config.follow) left = Number(metadata.get('conclave-backlog')[0] ?? 0);
      endWhenAll();
    });
    call.on('data', ({ event }: WatchEventsResponse) => {
      if (event === null || left <= 0) return;
      left--;
      write(eventJson(event), config);
      endWhenAll();
    });
    call.on('end', resolve);
    call.on('error', (error: ServiceError) => {
      clearTimeout(timer);
      if (!control.cancelled(error)) reject(error);
      else if (answered) resolve();
      else {
        reject(new CliError(`${config.server} did not answer within ${config.timeout / 1_000} s`));
      }
    });
  });
}

function write(event: ReturnType<typeof eventJson>, { output }: EventsConfig): void {
  process.stdout.write(`${output === 'json' ? JSON.stringify(event) : eventText(event)}\n`);
}
