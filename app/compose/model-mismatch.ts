import { compileModel } from '../../controller/model/compile.ts';
import type { Bus } from '../../platform/bus/bus.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { expertCount } from '../../proto/model/operators.ts';
import { servedModel } from '../../worker/agent/served-model.ts';

/** Milliseconds to read again what the cluster serves. */
const MODEL_DEADLINE_MS = 5_000;

/** A worker was given another model than its cluster serves. */
class ModelMismatch extends Error {
  override readonly name = 'ModelMismatch';
  readonly code = 'MODEL_MISMATCH';
  readonly remedy = 'Give the worker the checkpoint that the controllers serve, or another --cluster.';
}

/**
 * What is wrong where a checkpoint does not fit the model that the cluster serves: it may be damaged, or be another model's,
 * whose first tensor that differs says little. Other errors are returned as they are.
 */
export async function checkpointError(failure: unknown, directory: string, bus: Bus): Promise<unknown> {
  if (!(failure instanceof Error && 'code' in failure && failure.code === 'CORRUPT_CHECKPOINT')) return failure;
  try {
    const [{ spec: own }, served] = await Promise.all([compileModel(directory), servedModel(bus, MODEL_DEADLINE_MS)]);
    if (own.digest === served.spec.digest) return failure;
    const message = `model mismatch: the cluster serves ${text(served.spec)}, ${directory} holds ${text(own)}`;
    return new ModelMismatch(message, { cause: failure });
  } catch {
    return failure; // It is no model that can be read: the error from before says why.
  }
}

function text({ name, layers, hiddenSize, vocabSize, digest }: ModelSpec): string {
  const experts = Math.max(0, ...layers.map(expertCount));
  const kind = experts === 0 ? 'dense' : `${experts} experts`;
  const shape = `${layers.length} layers, ${kind}, hidden size ${hiddenSize}, vocabulary ${vocabSize}`;
  return `"${name}" (${shape}; digest ${digest.slice(0, 12)})`;
}
