/** Checkpoint folders for tests: headers and sizes are real, the weights are holes. */
import { readFileSync } from 'node:fs';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { compileModel } from '../../../../controller/model/compile.ts';
import { ModelError } from '../../../../controller/model/config/problems.ts';
import { layOutModel } from '../../../../controller/model/synth/synth.ts';
import { packageRoot } from '../../../../proto/messages.ts';

export type Json = Record<string, unknown>;

/** Tensors of a file, by name. */
export type Entries = Record<string, { dtype: string; shape: number[] }>;

export const goldenRoot = join(packageRoot, 'test/fixtures/golden');
export const goldenNames = [
  'llama',
  'mistral',
  'mixtral',
  'mixtral_swa',
  'olmoe',
  'qwen2',
  'qwen2_moe',
  'qwen3',
  'qwen3_moe',
] as const;

const elementBytes: Readonly<Record<string, number>> = { F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2, U8: 1 };

export function goldenConfig(name: string): Json {
  return JSON.parse(readFileSync(join(goldenRoot, name, 'config.json'), 'utf8'));
}

/** The tensors of a golden's model.safetensors, read without the code under test. */
export function goldenEntries(name: string): Entries {
  const file = readFileSync(join(goldenRoot, name, 'model.safetensors'));
  const { __metadata__: _, ...entries } = JSON.parse(file.toString('utf8', 8, 8 + Number(file.readBigUInt64LE())));
  return Object.fromEntries(
    Object.entries(entries as Entries).map(([tensor, { dtype, shape }]) => [tensor, { dtype, shape }]),
  );
}

/** An empty folder, gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'conclave-model-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a file that starts with `start` and is `bytes` long; the rest is a hole. */
export async function writeSparse(path: string, start: Uint8Array, bytes: number): Promise<void> {
  const file = await open(path, 'w');
  await file.write(start);
  await file.truncate(bytes);
  await file.close();
}

/** Length prefix and JSON of a safetensors header. */
export function headerBytes(header: unknown): Buffer {
  const json = typeof header === 'string' ? header : JSON.stringify(header);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(Buffer.byteLength(json)));
  return Buffer.concat([prefix, Buffer.from(json)]);
}

/** Writes a safetensors file of these tensors, one after the other. */
export async function writeSafetensors(path: string, entries: Entries): Promise<void> {
  let end = 0;
  const header = Object.entries(entries).map(([name, { dtype, shape }]) => {
    const begin = end;
    end += shape.reduce((product, length) => product * length, elementBytes[dtype]!);
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const start = headerBytes(Object.fromEntries(header));
  await writeSparse(path, start, start.byteLength + end);
}

/** A folder with a configuration and the tensors that it needs. */
export async function folderOf(config: Json, entries?: Entries): Promise<string> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  if (entries !== undefined) {
    await writeSafetensors(join(folder, 'model.safetensors'), entries);
    return folder;
  }
  const { files } = layOutModel(config, Number.POSITIVE_INFINITY);
  for (const file of files) await writeSparse(join(folder, file.path), file.header, file.bytes);
  return folder;
}

/** The problems for which a folder is refused; fails when it is not, or with another error. */
export async function problemsOf(folder: string): Promise<readonly string[]> {
  const error = await compileModel(folder).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof ModelError) return error.problems;
  throw new Error(`${folder}: expected a ModelError`, { cause: error });
}
