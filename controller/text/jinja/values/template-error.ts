/** A template does not parse, or fails on what it is given. The name is that of the Python exception. */
export class JinjaError extends Error {
  override readonly name: string;

  constructor(message: string, kind: PythonException = 'TemplateError') {
    super(message);
    this.name = kind;
  }
}

export type PythonException =
  | 'TemplateError'
  | 'TemplateSyntaxError'
  | 'TemplateRuntimeError'
  | 'UndefinedError'
  | 'SecurityError'
  | 'TypeError'
  | 'ValueError'
  | 'KeyError'
  | 'IndexError'
  | 'AttributeError'
  | 'ZeroDivisionError'
  | 'OverflowError'
  | 'AssertionError';

export function syntaxError(message: string, line: number): JinjaError {
  return new JinjaError(`line ${line}: ${message}`, 'TemplateSyntaxError');
}

export function typeError(message: string): JinjaError {
  return new JinjaError(message, 'TypeError');
}

export function valueError(message: string): JinjaError {
  return new JinjaError(message, 'ValueError');
}
