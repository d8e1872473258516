/** What is free on a GPU, as a process of its own sees it: a look takes hundreds of megabytes there until its process ends. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../proto/package-root.ts';

/** What `conclave inspect --devices --output json` says, as far as it matters here. */
interface Report {
  readonly gpus: readonly { readonly id: string; readonly freeBytes: number | null; readonly error: string | null }[];
}

/** Takes about a second. Throws where the GPU cannot be used. */
export function gpuFreeBytes(id: string): number {
  const command = [join(packageRoot, 'bin', 'conclave.js'), 'inspect', '--devices', '--output', 'json'];
  const report = JSON.parse(execFileSync(process.execPath, command, { encoding: 'utf8' })) as Report;
  const gpu = report.gpus.find((other) => other.id === id);
  if (gpu === undefined || gpu.freeBytes === null) throw new Error(`${id}: ${gpu?.error ?? 'it is gone'}`);
  return gpu.freeBytes;
}
