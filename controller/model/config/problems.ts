/** How many problems an error lists; the rest are counted. */
const listed = 50;

/** Longest problem, in characters: names come from files. */
const longest = 500;

/** A checkpoint that cannot be served. The message lists what is wrong and what was expected. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  readonly code = 'INVALID_MODEL';

  /** The checkpoint folder. */
  readonly directory: string;
  /** At most 50 of the problems. */
  readonly problems: readonly string[];
  /** How many there are in all. */
  readonly problemCount: number;

  constructor(directory: string, problems: readonly string[], problemCount: number, options?: ErrorOptions) {
    const more = problemCount - problems.length;
    const lines = problems.map((problem) => `\n  ${problem}`).join('');
    const tail = more > 0 ? `\n  … and ${more} more` : '';
    super(`${directory}: ${problemCount} problem${problemCount === 1 ? '' : 's'}${lines}${tail}`, options);
    this.directory = directory;
    this.problems = problems;
    this.problemCount = problemCount;
  }
}

/** Gathers what is wrong with a checkpoint, so that one error names all of it. Bounded, whatever is added. */
export class Problems {
  readonly #messages: string[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(message: string): void {
    this.#count++;
    if (this.#messages.length < listed) this.#messages.push(cut(message, longest));
  }

  /** Throws a ModelError when there is any problem. */
  throwIfAny(directory: string): void {
    if (this.#count > 0) throw new ModelError(directory, this.#messages, this.#count);
  }
}

/** A value from a file, for a message: JSON, cut to a readable length. */
export function quote(value: unknown): string {
  return cut(JSON.stringify(value) ?? String(value), 80);
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 3)}...`;
}
