/**
 * Chat templates as Python's jinja2 renders them in the environment that transformers sets up for them: trim_blocks,
 * lstrip_blocks, loop controls, the `generation` tag, its own `tojson`, and the immutable sandbox.
 */

import { render } from './runtime/execute.ts';
import { globals } from './runtime/globals.ts';
import { Scope } from './runtime/scope.ts';
import type { Body } from './syntax/ast.ts';
import { parseTemplate } from './syntax/parser.ts';
import { JinjaError } from './values/template-error.ts';
import type { Value } from './values/value.ts';

export class Template {
  readonly #body: Body;
  readonly #globals: Scope;

  /** Parses a template. Throws a JinjaError. */
  constructor(source: string, now: () => Date = () => new Date()) {
    this.#body = within(() => parseTemplate(source));
    this.#globals = new Scope(null, globals(now));
  }

  /** Throws a JinjaError for what the template refuses, and for what it does wrong. */
  render(variables: Iterable<readonly [string, Value]>): string {
    return within(() => render(this.#body, new Scope(new Scope(this.#globals, variables))));
  }
}

/** What is nested too deeply, or grows too long, fails as it does in Python. */
function within<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw new JinjaError(`too deep or too long: ${error.message}`, 'OverflowError');
    throw error;
  }
}
