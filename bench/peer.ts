// How fast is the native engine beside llama.cpp, with weights of 8 and 4 bits?
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNative } from '../native/load.ts';
import { decodeSteps, ModelBench, promptTokens } from './engine/model-bench.ts';
import { writeGguf } from './peer/gguf-file.ts';
import { measurePeer, type PeerSpeed } from './peer/llama.ts';
import { type BenchRow, publish, rounded } from './report.ts';

const folder = process.env['LLAMA_BENCH'];
const turns = 3;
const contextTokens = 128;
const sequences = 16;
const formats = [
  ['q8', 'Q8_0'],
  ['q4', 'Q4_0'],
] as const;
/** Names of the rows of ModelBench. */
const works: Readonly<Record<keyof PeerSpeed, string>> = {
  decode: 'decode, 1 sequences',
  decodeOfMany: `decode, ${sequences} sequences`,
  prefill: 'prefill',
};

if (folder === undefined || !existsSync(join(folder, 'llama-bench'))) {
  console.log('peer: skipped: LLAMA_BENCH names no folder with llama-bench and llama-batched-bench of llama.cpp');
} else {
  const native = loadNative();
  const threads = native.hardware().cpus;
  const bench = await ModelBench.of(native, { shape: 'moe-1b7', contextTokens, sequenceCounts: [1, sequences] }, 0);
  const rows: BenchRow[] = [];
  for (const [weights, format] of formats) {
    const model = join(tmpdir(), `conclave-bench-moe-1b7-${format}.gguf`);
    if (!existsSync(model)) await writeGguf(bench.directory, model, format);
    const ours: Readonly<Record<string, number>>[] = [];
    const theirs: PeerSpeed[] = [];
    // In turns, so that both see the same noise; the best of each counts.
    for (let turn = 0; turn < turns; turn++) {
      const measured = await bench.run(weights);
      ours.push(
        Object.fromEntries(
          measured.map((row) => [
            row['work'],
            (Number(row['tokens/s']) * Number(row['ms per step'])) / Number(row['least ms']),
          ]),
        ),
      );
      theirs.push(
        await measurePeer({ folder, model, threads, promptTokens, contextTokens, steps: decodeSteps, sequences }),
      );
    }
    for (const [key, work] of Object.entries(works)) {
      const own = Math.max(...ours.map((speeds) => speeds[work] ?? 0));
      const peer = Math.max(...theirs.map((speeds) => speeds[key as keyof PeerSpeed]));
      rows.push({
        ...{ work, weights, 'tokens/s': rounded(own), 'llama.cpp': format },
        ...{ 'its tokens/s': rounded(peer), ratio: rounded(own / peer) },
      });
    }
  }
  publish({
    name: 'peer',
    question: 'How fast is the native engine beside llama.cpp, with weights of 8 and 4 bits?',
    conditions: { model: 'moe-1b7', threads, isa: native.hardware().isa, turns, 'steps per case': decodeSteps },
    seed: 0,
    rows,
    notes: ['Best of each of the turns, which alternate.'],
  });
}
