import { z } from 'zod';
import { reasoningParserNames, toolParserNames } from '../../controller/text/answer/parser/answer-formats.ts';
import { weightsFormats } from '../../proto/weights-formats.ts';
import { clientTls, dispatching, layout, nats, scaling, tls } from './cluster-options.ts';
import { option } from './option.ts';
import { choice, device, duration, integer, integer64, keys, list, size, text, toggle } from './values.ts';

/** What is served. */
export const model = {
  model: option(text().nullable().default(null), {
    group: 'Model',
    description:
      'Checkpoint folder: config.json, safetensors and tokenizer.json as Hugging Face lays them out; or the name of a model on the Hub, ORG/NAME, which is fetched unless the local cache has it.',
    placeholder: 'MODEL',
    fallback: 'the bundled demo model',
    positional: true,
  }),
  revision: option(text().nullable().default(null), {
    group: 'Model',
    description: 'Branch, tag or commit of a model on the Hub.',
    placeholder: 'REV',
    fallback: 'main',
  }),
  offline: option(toggle().default(false), {
    group: 'Model',
    description: 'Ask nothing of the Hub: a model must be in the local cache. HF_HUB_OFFLINE=1 does the same.',
  }),
  servedModelName: option(list().nullable().default(null), {
    group: 'Model',
    description: 'Name that requests use; several, separated by commas, are aliases, and answers carry the first.',
    placeholder: 'NAME',
    fallback: "the folder's name; for a snapshot in Hugging Face's cache the repository's, such as Qwen/Qwen3-30B-A3B",
  }),
  weights: option(choice('auto', ...weightsFormats).default('auto'), {
    group: 'Model',
    description:
      "How weights are kept and multiplied. auto: the checkpoint's own precision. f32: exactly what the checkpoint holds, sums in f32. " +
      'bf16: bf16 weights and cache, sums in f32; activations in bf16 too where the processor is faster that way. ' +
      'q8: int8 in groups of 32, made while loading. ' +
      'q4: 4 bits in groups of 32; those of a checkpoint that has such, else made while loading.',
    placeholder: 'FORMAT',
  }),
  maxModelLen: option(integer(1).nullable().default(null), {
    group: 'Model',
    description: 'Longest sequence, prompt and output together, in tokens.',
    placeholder: 'N',
    fallback: "the model's own limit, or less where the KV cache cannot hold it",
  }),
  allowLongMaxModelLen: option(toggle().default(false), {
    group: 'Model',
    description: 'Take a --max-model-len beyond what the model was made for, where its answers may well be nonsense.',
  }),
  toolCallParser: option(choice(...toolParserNames).default('auto'), {
    group: 'Model',
    description:
      'How calls of tools are read from answers to chats, by the names of vLLM. auto: as the chat template shows; none: they stay text.',
    placeholder: 'NAME',
  }),
  reasoningParser: option(choice(...reasoningParserNames).default('auto'), {
    group: 'Model',
    description:
      'How reasoning is separated from answers to chats, by the names of vLLM. auto: as the chat template shows; none: it stays in the content.',
    placeholder: 'NAME',
  }),
};

/** How it is computed. */
export const engine = {
  threads: option(integer(1, 1024).nullable().default(null), {
    group: 'Engine',
    description: 'Compute threads; with --workers, those of each worker.',
    placeholder: 'N',
    fallback:
      'physical cores that this process may use; with --workers, divided among those that compute at the same time',
  }),
  device: option(device().default('auto'), {
    group: 'Engine',
    description:
      'What computes: cpu; cuda, an NVIDIA GPU, or cuda:N, the one of that number; or auto, a GPU where the build and this machine have one, else the CPU. With --workers each worker gets a GPU of its own.',
    placeholder: 'NAME',
  }),
  isa: option(choice('auto', 'portable', 'avx2', 'avx512', 'reference').default('auto'), {
    group: 'Engine',
    description:
      'Instruction set of the kernels: portable, avx2, avx512, or auto, the best that runs here. reference: plain loops, far slower, to test against.',
    placeholder: 'NAME',
  }),
  kvMemory: option(size().nullable().default(null), {
    group: 'Engine',
    description: 'Memory for the KV cache, such as 4GiB.',
    placeholder: 'SIZE',
    fallback: 'enough for --max-num-seqs sequences of full length, but at most half of what is free after loading',
  }),
  blockSize: option(integer(1, 1024).default(16), {
    group: 'Engine',
    description: 'Positions per KV block. Prefixes are shared by whole blocks.',
    placeholder: 'N',
  }),
  prefixCaching: option(toggle().default(true), {
    group: 'Engine',
    description: 'Reuse the KV blocks of prompts that begin alike.',
  }),
};

/** What runs together. */
export const scheduling = {
  maxNumSeqs: option(integer(1, 4096).default(64), {
    group: 'Scheduling',
    description: 'Most sequences in one step.',
    placeholder: 'N',
  }),
  maxNumBatchedTokens: option(integer(1, 65_536).default(512), {
    group: 'Scheduling',
    description: 'Most tokens in one step: decodes first, the rest is for chunks of prompts.',
    placeholder: 'N',
  }),
  maxQueue: option(integer(0, 1_000_000).default(256), {
    group: 'Scheduling',
    description: 'Most requests that wait; further ones are answered 429 with Retry-After.',
    placeholder: 'N',
  }),
  requestTimeout: option(duration().default(600_000), {
    group: 'Scheduling',
    description: 'Longest that a request may take, waiting included.',
    placeholder: 'TIME',
    fallback: '10m',
  }),
  seed: option(integer64().nullable().default(null), {
    group: 'Scheduling',
    description: 'Seed of requests that bring none, so that they can be repeated.',
    placeholder: 'N',
    fallback: 'a random one for each request',
  }),
};

/** Where clients reach it. */
export const server = {
  host: option(text().default('127.0.0.1'), {
    group: 'Server',
    description: 'Address to listen on. 0.0.0.0 or :: lets other machines in; set an API key then.',
    placeholder: 'ADDRESS',
  }),
  port: option(integer(0, 65_535).default(8000), {
    group: 'Server',
    description: 'HTTP port. 0: any free one.',
    placeholder: 'PORT',
  }),
  grpcPort: option(integer(0, 65_535).default(8001), {
    group: 'Server',
    description: 'gRPC port. 0: any free one.',
    placeholder: 'PORT',
  }),
  apiKey: option(keys().nullable().default(null), {
    group: 'Server',
    description:
      'Key that requests must carry as "Authorization: Bearer KEY"; give the flag again for another. Other users can read flags: prefer the file.',
    placeholder: 'KEY',
    fallback: 'no key is asked for',
    repeatable: true,
    secret: true,
  }),
  allowedOrigins: option(list().nullable().default(null), {
    group: 'Server',
    description:
      'Sites whose pages may use the API from a browser, such as https://example.com; several, separated by commas; *: all.',
    placeholder: 'ORIGIN',
    fallback: '* where no key is asked for, else none',
  }),
  apiKeyFile: option(text().nullable().default(null), {
    group: 'Server',
    description: 'File with one API key per line; empty lines and lines that start with # are skipped.',
    placeholder: 'FILE',
    fallback: 'none',
  }),
  maxBodySize: option(size().default(16 * 2 ** 20), {
    group: 'Server',
    description: 'Largest request body.',
    placeholder: 'SIZE',
    fallback: '16MiB',
  }),
  shutdownTimeout: option(duration().default(25_000), {
    group: 'Server',
    description: 'On SIGTERM or SIGINT: how long running requests may still take. A second signal ends at once.',
    placeholder: 'TIME',
    fallback: '25s',
  }),
};

/** Who may operate the cluster. */
export const admin = {
  adminKey: option(keys().nullable().default(null), {
    group: 'Server',
    description:
      'Key that ControlService asks for (status, plan, scale, drain, events); give the flag again for another. Prefer the file.',
    placeholder: 'KEY',
    fallback: 'the API keys; without any, only this machine is let in',
    repeatable: true,
    secret: true,
  }),
  adminKeyFile: option(text().nullable().default(null), {
    group: 'Server',
    description: 'File with one admin key per line.',
    placeholder: 'FILE',
    fallback: 'none',
  }),
};

/** What it says. */
export const reporting = {
  logLevel: option(choice('trace', 'debug', 'info', 'warn', 'error', 'silent').default('info'), {
    group: 'Reporting',
    description: 'Least severe log lines that are written, to stderr: trace, debug, info, warn, error or silent.',
    placeholder: 'LEVEL',
  }),
  logFormat: option(choice('auto', 'text', 'json').default('auto'), {
    group: 'Reporting',
    description: 'Form of log lines: text, json, or auto, which is text on a terminal, else JSON.',
    placeholder: 'FORM',
  }),
  output: option(choice('text', 'json').default('text'), {
    group: 'Reporting',
    description:
      'Form of what is written to stdout: text, or json, one line with every address once requests are answered.',
    placeholder: 'FORM',
  }),
};

/** Worker processes on this machine. */
const workers = {
  workers: option(integer(1, 256).nullable().default(null), {
    group: 'Workers',
    description:
      'Run the model on this many worker processes, which are restarted when they die. NATS is started too unless --nats is given.',
    placeholder: 'N',
    fallback: 'everything in this process',
  }),
  stageWorkers: option(integer(1, 256).nullable().default(null), {
    group: 'Workers',
    description: 'So many of the workers hold stages alone, and the others experts alone.',
    placeholder: 'N',
    fallback: 'every worker holds both',
  }),
  workerMetricsPort: option(integer(1, 65_535).nullable().default(null), {
    group: 'Workers',
    description: 'Port of /metrics of the first worker, on 127.0.0.1; the others have the ports after it.',
    placeholder: 'PORT',
    fallback: 'free ones, which are shown at start',
  }),
  workerMemory: option(size().nullable().default(null), {
    group: 'Workers',
    description: 'Memory of each worker.',
    placeholder: 'SIZE',
    fallback: 'nine tenths of what is free, divided evenly; on GPUs, of what is free there',
  }),
};

/** Every running sequence takes a token of each step. */
export function stepHoldsSequences(config: {
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
}): boolean {
  return config.maxNumBatchedTokens >= config.maxNumSeqs;
}

export const stepTooSmall = {
  path: ['maxNumBatchedTokens'],
  message: 'expected at least --max-num-seqs, as every running sequence takes a token of each step',
};

/** HTTP and gRPC cannot share a port; 0 is any free one. */
export function portsDiffer(config: { readonly port: number; readonly grpcPort: number }): boolean {
  return config.port !== config.grpcPort || config.port === 0;
}

export const portsEqual = { path: ['grpcPort'], message: 'expected another port than --port' };

/** The configuration of `conclave serve`. */
export const serveSchema = z
  .strictObject({
    ...model,
    ...engine,
    ...scheduling,
    ...server,
    ...admin,
    ...workers,
    ...layout,
    ttftTarget: scaling.ttftTarget,
    ...dispatching,
    ...nats,
    ...tls,
    ...clientTls,
    ...reporting,
  })
  .refine(stepHoldsSequences, stepTooSmall)
  .refine(portsDiffer, portsEqual);

export type ServeConfig = Readonly<z.output<typeof serveSchema>>;
