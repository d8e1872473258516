/** How tensors are laid out in safetensors files: in order, without gaps, a new file where one grows too large. */

export interface WantedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** How many ids there are, of which it holds some; absent: it holds floats. */
  readonly ids?: number | undefined;
}

export interface PlannedTensor extends WantedTensor {
  /** bf16; of ids, i32. */
  readonly bytes: number;
}

export interface PlannedFile {
  readonly path: string;
  /** The file's first bytes: header length and header. */
  readonly header: Buffer;
  readonly tensors: readonly PlannedTensor[];
  readonly bytes: number;
}

export interface Layout {
  readonly files: readonly PlannedFile[];
  /** model.safetensors.index.json; null for a single file. */
  readonly index: string | null;
  readonly bytes: number;
}

/** Lays tensors out in files of at most `maxFileBytes` of data (more where one tensor is larger). */
export function layOut(tensors: readonly WantedTensor[], maxFileBytes: number): Layout {
  const groups: PlannedTensor[][] = [];
  let filled = 0;
  for (const tensor of tensors) {
    const bytes = tensor.shape.reduce((product, length) => product * length, tensor.ids === undefined ? 2 : 4);
    if (groups.length === 0 || filled + bytes > maxFileBytes) {
      groups.push([]);
      filled = 0;
    }
    groups.at(-1)?.push({ ...tensor, bytes });
    filled += bytes;
  }
  const files = groups.map((group, i) => planFile(fileName(i, groups.length), group));
  const weightMap = files.flatMap(({ path, tensors: inFile }) => inFile.map(({ name }) => [name, path]));
  const dataBytes = groups.flat().reduce((sum, tensor) => sum + tensor.bytes, 0);
  const index = { metadata: { total_size: dataBytes }, weight_map: Object.fromEntries(weightMap) };
  return {
    files,
    index: files.length > 1 ? `${JSON.stringify(index, null, 2)}\n` : null,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
  };
}

function fileName(i: number, count: number): string {
  const [number, last] = [i + 1, count].map((value) => String(value).padStart(5, '0'));
  return count === 1 ? 'model.safetensors' : `model-${number}-of-${last}.safetensors`;
}

function planFile(path: string, tensors: readonly PlannedTensor[]): PlannedFile {
  let end = 0;
  const entries = tensors.map(({ name, shape, ids, bytes }) => {
    const begin = end;
    end += bytes;
    return [name, { dtype: ids === undefined ? 'BF16' : 'I32', shape, data_offsets: [begin, end] }];
  });
  const json = JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) });
  // Spaces after the header put the tensors on 64-byte boundaries.
  const text = json.padEnd(json.length + ((64 - ((8 + json.length) % 64)) % 64), ' ');
  const header = Buffer.alloc(8 + text.length);
  header.writeBigUInt64LE(BigInt(text.length));
  header.write(text, 8, 'latin1');
  return { path, header, tensors, bytes: header.byteLength + end };
}
