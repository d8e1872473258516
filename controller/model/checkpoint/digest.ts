import { createHash } from 'node:crypto';
import type { Checkpoint } from './checkpoint.ts';

/**
 * SHA-256 (hex) of a configuration and of every tensor's name, type, shape, file and offset. It depends on nothing else:
 * not on the folder's name, the order of keys, or the machine's arithmetic.
 */
export function digestModel(configuration: unknown, checkpoint: Checkpoint): string {
  const hash = createHash('sha256');
  const line = (value: unknown) => hash.update(`${JSON.stringify(sortKeys(value))}\n`);
  line({ format: 'conclave.v1', configuration });
  for (const { path, bytes } of checkpoint.files) line([path, bytes]);
  const names = [...checkpoint.tensors.keys()].sort();
  for (const name of names) {
    const tensor = checkpoint.tensors.get(name);
    if (tensor) line([name, tensor.dtype, tensor.shape, tensor.file, tensor.offset]);
  }
  return hash.digest('hex');
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sortKeys(inner)]));
}
