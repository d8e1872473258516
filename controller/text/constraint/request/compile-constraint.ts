/** From a task to a grammar, or to what keeps it from being one. */
import type { Grammar } from '../../../../proto/messages.ts';
import { compileGrammar, LeftRecursion } from '../automaton/compile-grammar.ts';
import { ConstraintTooLarge } from '../automaton/limits.ts';
import { GrammarSyntax } from '../ebnf/grammar-syntax.ts';
import { UnsupportedSchema } from '../json/unsupported-schema.ts';
import { UnsupportedPattern } from '../pattern/unsupported-pattern.ts';
import { constraintExpression } from './constraint-expression.ts';
import type { ConstraintTask } from './constraint-spec.ts';

/** `field`: the path of what is at fault in the request. */
export type ConstraintAnswer = { readonly grammar: Grammar } | { readonly field: string; readonly problem: string };

export function compileConstraint(task: ConstraintTask): ConstraintAnswer {
  const { path } = task.spec;
  try {
    const grammar = compileGrammar(constraintExpression(task));
    return grammar === null ? { field: path, problem: 'no text at all satisfies it' } : { grammar };
  } catch (error) {
    if (error instanceof UnsupportedSchema) {
      const field = error.path.startsWith('\n') ? error.path.slice(1) : `${path}${error.path}`;
      return { field, problem: error.message };
    }
    if (error instanceof LeftRecursion) {
      const problem = `rule ${error.message} calls itself before it takes anything: write what repeats with * or +`;
      return { field: path, problem };
    }
    if (error instanceof RangeError) return { field: path, problem: 'it is nested too deeply' };
    if (error instanceof UnsupportedPattern || error instanceof ConstraintTooLarge || error instanceof GrammarSyntax) {
      return { field: path, problem: error.message };
    }
    throw error;
  }
}
