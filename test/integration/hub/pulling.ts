/** A model to pull, and what pulling it needs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { PullContext } from '../../../controller/hub/pull.ts';
import { type Clock, systemClock } from '../../../platform/process/clock.ts';
import type { HubModel, HubServer } from './hub-server.ts';

export const commit = '1a'.repeat(20);

/** Bytes that are the same in every run. */
function noise(bytes: number, seed: number): Buffer {
  let state = seed;
  return Buffer.from(
    Uint8Array.from({ length: bytes }, () => (state = (state * 1_103_515_245 + 12_345) & 0x7fffffff) >> 16),
  );
}

const shard = (part: number): string => `model-0000${part}-of-00002.safetensors`;
export const shards = [shard(1), shard(2)] as const;

const index = { metadata: {}, weight_map: { a: shards[0], b: shards[1], c: shards[1] } };

export const model: HubModel = {
  name: 'Acme/Clerk-1B',
  commit,
  refs: { main: commit, 'v1.0': commit },
  large: (path) => /safetensors$|tokenizer\.json$|bin$|gguf$/.test(path),
  files: {
    '.gitattributes': Buffer.from('*.safetensors filter=lfs\n'),
    'README.md': Buffer.from('# Clerk\n'),
    'config.json': Buffer.from('{"model_type": "clerk"}\n'),
    'generation_config.json': Buffer.from('{}'),
    'tokenizer.json': noise(5_000, 1),
    'tokenizer_config.json': Buffer.from('{"a": 1}'),
    'additional_chat_templates/tool_use.jinja': Buffer.from('{{ tools }}'),
    'model.safetensors.index.json': Buffer.from(JSON.stringify(index)),
    [shards[0]]: noise(300_000, 2),
    [shards[1]]: noise(200_000, 3),
    'consolidated.safetensors': noise(5_000, 4),
    'pytorch_model.bin': noise(5_000, 5),
    'model.Q4.gguf': noise(5_000, 6),
    'onnx/model.onnx': Buffer.from('onnx'),
  },
};

/** The files of it that serving needs. */
export const wanted = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'additional_chat_templates/tool_use.jinja',
  'model.safetensors.index.json',
  ...shards,
];

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'conclave-hub-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Waits take no time, but count. Deadlines of connections stay real. */
export class HurriedClock implements Clock {
  readonly waits: number[] = [];
  readonly #stallMs: number;

  constructor(stallMs: number) {
    this.#stallMs = stallMs;
  }

  now(): number {
    return systemClock.now();
  }

  after(ms: number, callback: () => void): () => void {
    if (ms === this.#stallMs || ms === 5_000) return systemClock.after(ms, callback);
    this.waits.push(ms);
    return systemClock.after(0, callback);
  }
}

export interface Pulling extends PullContext {
  readonly clock: HurriedClock;
  /** What the observer was called with. */
  readonly notes: string[];
  readonly progress: number[];
}

export async function pulling(server: HubServer, changes: Partial<PullContext['settings']> = {}): Promise<Pulling> {
  const settings = {
    cache: await temporaryFolder(),
    endpoint: server.endpoint,
    token: null,
    offline: false,
    stallMs: 20_000,
    ...changes,
  };
  const notes: string[] = [];
  const progress: number[] = [];
  return {
    settings,
    userAgent: 'conclave/test',
    signal: new AbortController().signal,
    clock: new HurriedClock(settings.stallMs),
    notes,
    progress,
    observer: {
      onStart: ({ files, bytes, missingBytes }) => notes.push(`start ${files.length} ${bytes} ${missingBytes}`),
      onProgress: (done) => progress.push(done),
      onRetry: (reason) => notes.push(`retry ${reason}`),
      onWait: (holder) => notes.push(`wait ${holder}`),
      onStale: (reason) => notes.push(`stale ${reason}`),
    },
  };
}
