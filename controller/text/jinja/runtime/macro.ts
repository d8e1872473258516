import type { MacroDefinition } from '../syntax/ast.ts';
import { Dict, Tuple } from '../values/containers.ts';
import { typeError } from '../values/template-error.ts';
import { Undefined } from '../values/undefined.ts';
import { Callable, type Named, type Value } from '../values/value.ts';
import { evaluate } from './evaluate.ts';
import { Scope } from './scope.ts';

/** A macro, or the body of a call block: a function over what its body renders. */
export class Macro extends Callable {
  readonly #definition: MacroDefinition;

  /** `render` renders a body; `around` is where the macro is defined. `names` are all that its body uses. */
  constructor(
    definition: MacroDefinition,
    around: Scope,
    names: ReadonlySet<string>,
    render: (scope: Scope) => string,
  ) {
    super(
      definition.name,
      (positional, named) => render(bindParameters(definition, around, names, positional, named)),
      'Macro',
    );
    this.#definition = definition;
  }

  override attribute(name: string): Value | undefined {
    if (name === 'name') return this.#definition.name;
    if (name === 'arguments') return new Tuple(this.#definition.parameters.map((parameter) => parameter.name));
    return undefined;
  }

  override repr(): string {
    return `<Macro '${this.#definition.name}'>`;
  }
}

/** The scope of one call. */
function bindParameters(
  { name, parameters }: MacroDefinition,
  around: Scope,
  names: ReadonlySet<string>,
  positional: readonly Value[],
  named: Named,
): Scope {
  const scope = new Scope(around);
  const rest = new Map(named);
  const values = parameters.map((parameter, index) => {
    if (index < positional.length) return positional[index];
    const value = rest.get(parameter.name);
    rest.delete(parameter.name);
    return value;
  });
  const caller = rest.get('caller');
  if (names.has('caller') && !parameters.some((parameter) => parameter.name === 'caller')) {
    rest.delete('caller');
    scope.set('caller', caller ?? new Undefined('No caller defined'));
  }
  const [unknown] = rest.keys();
  if (names.has('kwargs')) scope.set('kwargs', Dict.named(rest));
  else if (unknown !== undefined) throw typeError(`macro '${name}' takes no keyword argument '${unknown}'`);
  if (names.has('varargs')) scope.set('varargs', new Tuple(positional.slice(parameters.length)));
  else if (positional.length > parameters.length) {
    throw typeError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
  }
  for (const [index, parameter] of parameters.entries()) {
    const given = values[index];
    const missing = new Undefined(`parameter '${parameter.name}' was not provided`);
    const otherwise = (): Value => (parameter.default === null ? missing : evaluate(parameter.default, scope));
    scope.set(parameter.name, given === undefined ? otherwise() : given);
  }
  return scope;
}
