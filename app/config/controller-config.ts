import { z } from 'zod';
import { certificates } from './certificate-options.ts';
import { clientTls, id, kubernetes, layout, nats, scaling, tls } from './cluster-options.ts';
import { option } from './option.ts';
import {
  admin,
  engine,
  model,
  portsDiffer,
  portsEqual,
  reporting,
  scheduling,
  server,
  stepHoldsSequences,
  stepTooSmall,
} from './serve-config.ts';
import { duration } from './values.ts';

/** The configuration of `conclave controller`. */
export const controllerSchema = z
  .strictObject({
    ...model,
    id: option(id('a controller').nullable().default(null), {
      group: 'NATS',
      description: 'Id of this controller.',
      placeholder: 'ID',
      fallback: 'the name of the machine and the process id',
    }),
    ...nats,
    ...layout,
    ...scaling,
    kvMemory: engine.kvMemory,
    blockSize: engine.blockSize,
    ...scheduling,
    ...server,
    shutdownDelay: option(duration().default(0), {
      group: 'Server',
      description:
        'On SIGTERM or SIGINT: how long requests are still taken, with /ready saying no, until load balancers send them elsewhere.',
      placeholder: 'TIME',
      fallback: 'none',
    }),
    ...admin,
    ...tls,
    ...clientTls,
    ...kubernetes,
    ...certificates,
    ...reporting,
  })
  .refine(({ kubernetes: operator, authority }) => operator || authority === null, {
    path: ['authority'],
    message: 'expected --kubernetes too: the operator replaces certificates',
  })
  .refine(stepHoldsSequences, stepTooSmall)
  .refine(portsDiffer, portsEqual);

export type ControllerConfig = Readonly<z.output<typeof controllerSchema>>;
