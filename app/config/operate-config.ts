/** Options of the commands that operate a cluster. */
import { z } from 'zod';
import { tls } from './cluster-options.ts';
import { option } from './option.ts';
import { address, choice, duration, integer, key, text, toggle } from './values.ts';

const connection = {
  server: option(address().default('127.0.0.1:8001'), {
    group: 'Controller',
    description: 'gRPC address of a controller; any of them will do.',
    placeholder: 'HOST:PORT',
  }),
  adminKey: option(metadataKey().nullable().default(null), {
    group: 'Controller',
    description: 'Key with which operators are let in. Other users can read flags: prefer CONCLAVE_ADMIN_KEY.',
    placeholder: 'KEY',
    fallback: 'none',
    secret: true,
  }),
  timeout: option(duration().default(15_000), {
    group: 'Controller',
    description: 'Longest that an answer may take.',
    placeholder: 'TIME',
    fallback: '15s',
  }),
  tls: option(toggle().default(false), {
    group: 'TLS',
    description: 'Encrypt the connection; the --tls options below imply it.',
  }),
  tlsCa: tls.tlsCa,
  tlsCert: tls.tlsCert,
  tlsKey: tls.tlsKey,
};

const output = {
  output: option(choice('text', 'json').default('text'), {
    group: 'Reporting',
    description: 'Form of the answer: text or json.',
    placeholder: 'FORM',
  }),
};

const waiting = {
  wait: option(duration().nullable().default(null), {
    group: 'Change',
    description: 'Wait so long for the change to be carried out, and fail if it is not.',
    placeholder: 'TIME',
    fallback: 'answer as soon as it is planned',
  }),
};

/** A key as gRPC metadata can carry it. */
function metadataKey() {
  return key().refine((value) => /^[\x21-\x7e]+$/.test(value), { error: 'expected a key of ASCII characters' });
}

export type ConnectionConfig = Readonly<{ [Key in keyof typeof connection]: z.output<(typeof connection)[Key]> }>;

/** `conclave plan` and `conclave replicas`. */
export const lookSchema = z.strictObject({ ...connection, ...output });

/** `conclave status`. */
export const statusSchema = z.strictObject({
  watch: option(duration(500).nullable().default(null), {
    group: 'Reporting',
    description: 'Show it again and again, every TIME, until Ctrl-C.',
    placeholder: 'TIME',
    bare: '2s',
    fallback: 'show it once; 2s without a TIME',
  }),
  ...connection,
  ...output,
});

/** `conclave top`. */
export const topSchema = z.strictObject({
  interval: option(duration(500).default(2_000), {
    group: 'Reporting',
    description: 'Ask the controller every TIME.',
    placeholder: 'TIME',
    fallback: '2s',
  }),
  ...connection,
  ...output,
});

const dryRun = {
  dryRun: option(toggle().default(false), {
    group: 'Change',
    description: 'Change nothing; show what would be loaded and freed, and what would not fit.',
  }),
};

/** `conclave scale`. */
export const scaleSchema = z.strictObject({
  replicas: option(integer(0, 10_000), {
    group: 'Change',
    description: 'Copies of experts wanted, 1 to 1024; with --pool, workers.',
    placeholder: 'N',
    fallback: 'must be given',
  }),
  layer: option(integer(0).nullable().default(null), {
    group: 'Change',
    description: 'Of one expert: its layer, with --expert.',
    placeholder: 'L',
    fallback: 'all experts',
  }),
  expert: option(integer(0).nullable().default(null), {
    group: 'Change',
    description: 'Of one expert: its number, with --layer.',
    placeholder: 'E',
    fallback: 'all experts',
  }),
  hot: option(integer(1, 1_000_000).nullable().default(null), {
    group: 'Change',
    description: 'Of the K experts with the most load.',
    placeholder: 'K',
    fallback: 'all experts',
  }),
  pool: option(text().nullable().default(null), {
    group: 'Change',
    description: 'Of an ExpertPool on Kubernetes: so many workers, as "kubectl scale xp/POOL" does.',
    placeholder: 'POOL',
    fallback: 'experts, not workers',
  }),
  ...dryRun,
  ...waiting,
  ...connection,
  ...output,
});

const worker = option(text().nullable().default(null), {
  group: 'Change',
  description: 'Id of the worker.',
  placeholder: 'WORKER',
  positional: true,
  fallback: 'must be given',
});

/** `conclave drain`. */
export const drainSchema = z.strictObject({
  worker,
  cancel: option(toggle().default(false), {
    group: 'Change',
    description: 'Take the drain back: the worker is used again.',
  }),
  ...dryRun,
  ...waiting,
  ...connection,
  ...output,
});

/** `conclave cordon` and `conclave uncordon`. */
export const cordonSchema = z.strictObject({
  worker,
  ...connection,
  ...output,
});

/** `conclave forget`. */
export const forgetSchema = z.strictObject({ worker, ...connection, ...output });

/** `conclave events`. */
export const eventsSchema = z.strictObject({
  follow: option(toggle().default(false), {
    group: 'Events',
    description: 'Go on with what happens from now on.',
  }),
  backlog: option(integer(0, 500).default(20), {
    group: 'Events',
    description: 'Past events to begin with.',
    placeholder: 'N',
  }),
  ...connection,
  ...output,
});
