/** A schema that is none, or that cannot be enforced: it is refused, never weakened. */
export class UnsupportedSchema extends Error {
  /** Of the keyword at fault, from the schema on, such as ".properties.a.if"; "" for the schema itself. */
  readonly path: string;

  constructor(path: string, problem: string) {
    super(problem);
    this.path = path;
  }
}
