/** llama.cpp's own benches, as processes. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface PeerSpeed {
  /** Tokens per second. */
  readonly prefill: number;
  readonly decode: number;
  readonly decodeOfMany: number;
}

export interface PeerCase {
  /** Folder of llama-bench and llama-batched-bench. */
  readonly folder: string;
  readonly model: string;
  readonly threads: number;
  readonly promptTokens: number;
  readonly contextTokens: number;
  readonly steps: number;
  readonly sequences: number;
}

export async function measurePeer(one: PeerCase): Promise<PeerSpeed> {
  const { folder, model, threads, promptTokens, contextTokens, steps, sequences } = one;
  const common = ['-m', model, '-t', String(threads)];
  const single = await run(join(folder, 'llama-bench'), [
    ...common,
    ...['-p', String(promptTokens), '-n', String(steps), '-r', '1', '-o', 'json'],
  ]);
  const rows = JSON.parse(single.stdout) as readonly { readonly n_gen: number; readonly avg_ts: number }[];
  const many = await run(join(folder, 'llama-batched-bench'), [
    ...common,
    ...['-npp', String(contextTokens), '-ntg', String(steps), '-npl', String(sequences)],
    ...['-c', String(sequences * (contextTokens + steps)), '--output-format', 'jsonl'],
  ]);
  const line = many.stdout.split('\n').find((text) => text.startsWith('{'));
  const { speed_tg: decodeOfMany } = JSON.parse(line ?? '{}') as { readonly speed_tg?: number };
  const prefill = rows.find(({ n_gen: generated }) => generated === 0)?.avg_ts;
  const decode = rows.find(({ n_gen: generated }) => generated > 0)?.avg_ts;
  if (prefill === undefined || decode === undefined || decodeOfMany === undefined) {
    throw new Error(`${folder}: llama.cpp's benches say what is not understood: ${single.stdout} ${many.stdout}`);
  }
  return { prefill, decode, decodeOfMany };
}
