import { compileConstraint } from '../../../../../controller/text/constraint/request/compile-constraint.ts';
import type { ConstraintSpec } from '../../../../../controller/text/constraint/request/constraint-spec.ts';
import type { Grammar } from '../../../../../proto/messages.ts';

/** The grammar of a constraint; throws "FIELD: PROBLEM" where there is none. */
export function compiled(spec: ConstraintSpec, tokens: readonly (readonly [string, number])[] = []): Grammar {
  const answer = compileConstraint({ spec, preamble: null, tokens });
  if ('grammar' in answer) return answer.grammar;
  throw new Error(`${answer.field}: ${answer.problem}`);
}

export function ofSchema(schema: unknown): Grammar {
  return compiled({ kind: 'json', schema: JSON.stringify(schema), path: 'schema' });
}
