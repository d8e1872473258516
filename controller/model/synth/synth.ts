/** Writes checkpoints of known shapes with random weights: for benches, tests and capacity planning. */
import { resolve } from 'node:path';
import type { TensorRef__Output as TensorRef } from '../../../proto/generated/conclave/v1/TensorRef.ts';
import { plainMatrix, stackOf } from '../checkpoint/parts.ts';
import { deriveDimensions } from '../config/dimensions.ts';
import { Problems } from '../config/problems.ts';
import { findFamily } from '../families.ts';
import { buildSpec } from '../spec.ts';
import { type Layout, layOut, type PlannedFile, type WantedTensor } from './layout.ts';
import { NewFolder } from './new-folder.ts';
import { type ShapeConfig, type ShapeName, shapeConfig } from './shapes.ts';
import { endOfMessage, endOfText, tokenizerConfigJson, tokenizerJson } from './tokenizer.ts';
import { WeightGenerator } from './weights.ts';

export interface SynthOptions {
  /** The same seed gives the same bytes. Default 0. */
  readonly seed?: number;
  /** Called after each piece is written. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Ends the work; nothing is left behind. */
  readonly signal?: AbortSignal;
}

export interface SynthResult {
  readonly directory: string;
  /** Weight files. */
  readonly files: number;
  readonly bytes: number;
}

const maxFileBytes = 2_000_000_000;
const pieceBytes = 8 << 20;

/**
 * Writes a random-weight checkpoint of a named shape, in bf16, into a folder that is empty or absent. Throws a FolderError
 * when that cannot be, or the signal's reason; either way everything is as it was before.
 */
export async function synthesise(
  shape: ShapeName,
  directory: string,
  options: SynthOptions = {},
): Promise<SynthResult> {
  const { seed = 0, onProgress, signal } = options;
  const folder = resolve(directory);
  const config = {
    ...shapeConfig(shape),
    bos_token_id: endOfText,
    eos_token_id: endOfMessage,
    pad_token_id: endOfText,
  };
  const layout = layOutModel(config, maxFileBytes);
  const target = await NewFolder.create(folder, layout.bytes);
  try {
    let done = 0;
    await writeWeights(target, layout.files, new WeightGenerator(seed), (bytes) => {
      signal?.throwIfAborted();
      done += bytes;
      onProgress?.(done, layout.bytes);
    });
    const write = (name: string, text: string) => target.file(name, (take) => take(Buffer.from(text)));
    if (layout.index !== null) await write('model.safetensors.index.json', layout.index);
    await write('tokenizer.json', tokenizerJson(config.vocab_size));
    await write('tokenizer_config.json', tokenizerConfigJson(config.max_position_embeddings));
    const ends = { bos_token_id: endOfText, eos_token_id: [endOfMessage, endOfText], pad_token_id: endOfText };
    await write('generation_config.json', `${JSON.stringify(ends, null, 2)}\n`);
    // Last, as a folder without it is no checkpoint.
    await write('config.json', `${JSON.stringify(config, null, 2)}\n`);
    signal?.throwIfAborted();
    await target.complete();
  } catch (error) {
    await target.discard();
    throw error;
  }
  return { directory: folder, files: layout.files.length, bytes: layout.bytes };
}

/** The files of a bf16 checkpoint with a configuration: which tensors, and where. Throws a ModelError on a wrong one. */
export function layOutModel(config: ShapeConfig, maxDataBytes: number): Layout {
  const problems = new Problems();
  const report = (problem: string) => problems.add(problem);
  const model = findFamily(config, report)?.configure(config, report);
  const dimensions = model && deriveDimensions(model.config, report);
  problems.throwIfAny('configuration');
  if (!model || !dimensions) throw new Error('a configuration was refused without a reason');
  // By name: parts of a model may read one tensor.
  const tensors = new Map<string, WantedTensor>();
  const claim = (name: string, shape: readonly number[], ids?: number): TensorRef => {
    tensors.set(name, { name, shape, ids });
    return { name, file: 0, offset: 0, dtype: 'DATA_TYPE_BF16', shape: [...shape] };
  };
  buildSpec(model, dimensions, {
    matrix: (name, rows, cols) => plainMatrix(rows, cols, claim(name, [rows, cols])),
    shapeOf: () => null,
    vector: (name, length, shape = [length]) => claim(name, shape),
    ids: (name, shape, count) => claim(name, shape, count),
    stack: (name, shape, as = shape) => stackOf({ ...claim(name, shape), shape: [...as] }),
  });
  return layOut([...tensors.values()], maxDataBytes);
}

/** Writes files piece by piece; a piece is made while the one before it is written. */
async function writeWeights(
  target: NewFolder,
  files: readonly PlannedFile[],
  generator: WeightGenerator,
  onWritten: (bytes: number) => void,
): Promise<void> {
  for (const file of files) {
    await target.file(file.path, async (take) => {
      const write = (bytes: Uint8Array) => take(bytes).then(() => onWritten(bytes.byteLength));
      let writing = write(file.header);
      for (const piece of makePieces(file, generator)) {
        await writing;
        writing = write(piece);
      }
      await writing;
    });
  }
}

/** The bytes of a file's tensors, in order. A piece is valid until the second one after it is asked for. */
function* makePieces(file: PlannedFile, generator: WeightGenerator): Generator<Uint8Array> {
  const elements = pieceBytes / 2;
  let [buffer, spare] = [new Uint16Array(elements), new Uint16Array(elements)];
  let filled = 0;
  const take = () => {
    const piece = new Uint8Array(buffer.buffer, 0, 2 * filled);
    [buffer, spare] = [spare, buffer];
    filled = 0;
    return piece;
  };
  for (const { name, shape, ids, bytes } of file.tensors) {
    const fill = ids === undefined ? generator.tensor(name, shape) : idsOf(shape, ids);
    for (let first = 0; first < bytes / 2; ) {
      const count = Math.min(bytes / 2 - first, 2 * Math.floor((elements - filled) / 2));
      fill(buffer.subarray(filled, filled + count), first);
      first += count;
      filled += count;
      if (filled + 2 > elements) yield take();
    }
  }
  if (filled > 0) yield take();
}

/** A function that fills `out` with the words of a table of i32, from an even word on: each row has ids of its own. */
function idsOf([, columns = 1]: readonly number[], count: number) {
  return (out: Uint16Array, first: number): void => {
    for (let i = 0; i < out.length; i++) {
      const element = (first + i) >> 1;
      const row = Math.floor(element / columns);
      out[i] = (first + i) % 2 === 0 ? (row * columns + (element % columns)) % count : 0;
    }
  };
}
