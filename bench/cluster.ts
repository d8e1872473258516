/**
 * What sharding over processes costs: two expert workers of one thread and a stage, against one process of two threads, on
 * the same machine (meant for one with two cores) and model. They take turns at decoding 1, 8 and 16 sequences. A checkpoint
 * folder may be given in BENCH_MODEL; else a moe-1b7 is made.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { synthesise } from '../controller/model/synth/synth.ts';
import { decode } from './cluster/decode.ts';
import { publish, rounded, spread } from './report.ts';
import { ServerProcess } from './serving/server-process.ts';

const shape = 'moe-1b7';
const seed = 1;
const weights = 'bf16';
const sequenceCounts = [1, 8, 16];
const outputTokens = 24;
const repeats = 3;

const folder = mkdtempSync(join(tmpdir(), 'conclave-bench-'));
const servers: ServerProcess[] = [];
try {
  const directory = process.env['BENCH_MODEL'] ?? join(folder, shape);
  if (process.env['BENCH_MODEL'] === undefined) await synthesise(shape, directory, { seed });
  const shared = [directory, '--weights', weights, '--max-model-len', '512', '--max-num-seqs', '16'];
  const single = await ServerProcess.start([...shared, '--threads', '2', '--no-prefix-caching']);
  servers.push(single);
  const sharded = await ServerProcess.start([
    ...[...shared, '--workers', '3', '--stage-workers', '1'],
    ...['--worker-memory', '6GiB', '--no-verify-weights', '--dispatch-deadline', '30s'],
  ]);
  servers.push(sharded);

  const rows = [];
  for (const sequences of sequenceCounts) {
    const rates = { single: [] as number[], sharded: [] as number[] };
    const processor = { single: new Map<string, number>(), sharded: new Map<string, number>() };
    let tokens = 0;
    for (let repeat = -1; repeat < repeats; repeat++) {
      for (const [name, server] of [['single', single] as const, ['sharded', sharded] as const]) {
        const before = server.processorMs();
        const decoded = await decode(server, sequences, outputTokens);
        if (repeat < 0) continue; // Warm-up.
        rates[name].push((1_000 * decoded.tokens) / decoded.ms);
        for (const [part, ms] of Object.entries(server.processorMs())) {
          processor[name].set(part, (processor[name].get(part) ?? 0) + ms - (before[part] ?? 0));
        }
      }
      if (repeat >= 0) tokens += sequences * outputTokens;
    }
    const [one, many] = [spread(rates.single), spread(rates.sharded)];
    const perToken = (parts: ReadonlyMap<string, number>): string =>
      [...parts].map(([part, ms]) => `${part} ${rounded(ms / tokens)}`).join(', ');
    const total = (parts: ReadonlyMap<string, number>): number => [...parts.values()].reduce((sum, ms) => sum + ms, 0);
    rows.push({
      sequences,
      'one process, tokens/s': rounded(one.median),
      'least to most': `${rounded(one.least)} to ${rounded(one.most)}`,
      'sharded, tokens/s': rounded(many.median),
      'its least to most': `${rounded(many.least)} to ${rounded(many.most)}`,
      ratio: rounded(many.median / one.median),
      'ratio of processor time': rounded(total(processor.single) / total(processor.sharded)),
      'one process, processor ms/token': perToken(processor.single),
      'sharded, processor ms/token': perToken(processor.sharded),
    });
  }
  publish({
    name: 'cluster',
    question: 'How fast is a model on a stage and two one-thread expert workers beside one process of two threads?',
    conditions: {
      model: shape,
      weights,
      workers: 'w1: the stage, with as many threads as cores; w2 and w3: experts, one thread each on two cores',
      'tokens per sequence': outputTokens,
      repeats,
    },
    seed,
    rows,
    notes: [
      'Tokens per second count from the moment at which all sequences decode. Processor time covers prompts too, and every',
      'thread of a process. The ratio of processor time (one process to all processes) is what would be left of the speed if no',
      'core ever waited: the price of dispatches, which is gRPC, copies and the event loop of each worker. The rest of what is',
      'lost is waiting: at every layer for the slower of the two expert workers, and of the stage and the experts for each other.',
    ],
  });
} finally {
  for (const server of servers) await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
