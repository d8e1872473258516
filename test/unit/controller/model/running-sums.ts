import type { OperatorSpec__Output as OperatorSpec } from '../../../../proto/generated/conclave/v1/OperatorSpec.ts';
import type { ModelSpec } from '../../../../proto/messages.ts';

/** The model with running sums instead of attention in these layers: their projections of queries and outputs serve for it. */
export function withRunningSums(spec: ModelSpec, layers: readonly number[]): ModelSpec {
  return {
    ...spec,
    layers: spec.layers.map((layer, index) => ({
      ...layer,
      blocks: layer.blocks.map((block) => ({
        ...block,
        operators: layers.includes(index) ? block.operators.map(summing) : block.operators,
      })),
    })),
  };
}

function summing(operator: OperatorSpec): OperatorSpec {
  const { gqa } = operator;
  if (!gqa) return operator;
  const { heads, headDim, q: value, o: output } = gqa;
  const { gqa: _, ...rest } = operator;
  return {
    ...rest,
    kind: 'runningSum',
    runningSum: { heads, headDim, value, output },
    cache: { kind: 'fixed', fixed: { states: [{ heads, elements: headDim }] } },
  };
}
