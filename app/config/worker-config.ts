import { z } from 'zod';
import { dispatching, id, nats, tls } from './cluster-options.ts';
import { option } from './option.ts';
import { engine, model, reporting } from './serve-config.ts';
import { duration, integer, roles, size, text } from './values.ts';

const worker = {
  id: option(id('a worker').nullable().default(null), {
    group: 'Worker',
    description:
      'Id that the worker keeps over restarts, so that its experts come back to it; the name of the machine will do.',
    placeholder: 'ID',
    fallback: 'one made at start',
  }),
  roles: option(roles().default(['stage', 'expert']), {
    group: 'Worker',
    description: 'What the worker may hold: "stage" (attention, dense parts and the KV cache), "expert", or both.',
    placeholder: 'ROLES',
    fallback: 'stage,expert',
  }),
  node: option(text().nullable().default(null), {
    group: 'Worker',
    description: 'Name of the machine: replicas of an expert go to different ones.',
    placeholder: 'NAME',
    fallback: "the machine's host name",
  }),
  memory: option(size().nullable().default(null), {
    group: 'Worker',
    description: 'Memory that weights and caches may take.',
    placeholder: 'SIZE',
    fallback: 'nine tenths of what is free at start, on the GPU where that is what computes',
  }),
  host: option(text().default('127.0.0.1'), {
    group: 'Worker',
    description: 'Address to listen on. Other machines reach 0.0.0.0 or ::.',
    placeholder: 'ADDRESS',
  }),
  port: option(integer(0, 65_535).default(8002), {
    group: 'Worker',
    description: 'gRPC port. 0: any free one.',
    placeholder: 'PORT',
  }),
  advertise: option(text().nullable().default(null), {
    group: 'Worker',
    description: 'Host name or address by which controllers and other workers reach this one.',
    placeholder: 'HOST',
    fallback: "--host; the machine's host name where that is 0.0.0.0 or ::",
  }),
  joinTimeout: option(duration().default(600_000), {
    group: 'Worker',
    description: 'How long to wait for a controller that says what is served.',
    placeholder: 'TIME',
    fallback: '10m',
  }),
  drainTimeout: option(duration().default(60_000), {
    group: 'Worker',
    description: 'On SIGTERM or SIGINT: how long everything that runs here may take to move away.',
    placeholder: 'TIME',
    fallback: '60s',
  }),
  metricsPort: option(integer(0, 65_535).nullable().default(null), {
    group: 'Worker',
    description: 'HTTP port for /metrics, /health and /ready, on the same address. 0: any free one.',
    placeholder: 'PORT',
    fallback: 'none',
  }),
};

/** The configuration of `conclave worker`. */
export const workerSchema = z.strictObject({
  model: model.model,
  revision: model.revision,
  offline: model.offline,
  ...nats,
  ...worker,
  threads: engine.threads,
  device: engine.device,
  isa: engine.isa,
  prefixCaching: engine.prefixCaching,
  ...dispatching,
  ...tls,
  ...reporting,
});

export type WorkerConfig = Readonly<z.output<typeof workerSchema>>;
