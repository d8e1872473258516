import type { StreamMixSpec__Output as StreamMixSpec } from '../../../proto/generated/conclave/v1/StreamMixSpec.ts';
import type { Builder } from '../checkpoint/parts.ts';

/** Several streams of the residual; see StreamMixSpec in model.proto. */
export interface StreamsShape {
  readonly count: number;
  /** Rounds in which what streams give each other is balanced. */
  readonly iterations: number;
  readonly epsilon: number;
  /** Start of the names of what the head reads them by. */
  readonly head: string;
}

/** Its tensors are at `name`_fn, `name`_base and `name`_scale. */
export function buildStreamMix(
  { tensors, epsilon }: Builder,
  name: string,
  streams: StreamsShape,
  access: 'read' | 'read and write',
  hidden: number,
): StreamMixSpec {
  const { count } = streams;
  const rows = access === 'read' ? count : count * (2 + count);
  return {
    weight: tensors.matrix(`${name}_fn`, rows, count * hidden),
    base: tensors.vector(`${name}_base`, rows),
    scale: tensors.vector(`${name}_scale`, access === 'read' ? 1 : 3),
    normEpsilon: Math.fround(epsilon),
    epsilon: Math.fround(streams.epsilon),
    iterations: access === 'read' ? 0 : streams.iterations,
  };
}
