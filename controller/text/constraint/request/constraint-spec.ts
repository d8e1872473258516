/** What a request asks its answer to be, before it is a grammar. `path`: the field that asks. */
export type ConstraintSpec =
  /** `schema`: JSON text, whose numbers have all their digits. */
  | { readonly kind: 'json'; readonly schema: string; readonly path: string }
  | { readonly kind: 'regex'; readonly pattern: string; readonly path: string }
  | { readonly kind: 'choice'; readonly choices: readonly string[]; readonly path: string }
  | { readonly kind: 'grammar'; readonly text: string; readonly path: string }
  | { readonly kind: 'calls'; readonly calls: CallsSpec; readonly path: string };

/** Calls of tools, and nothing else. */
export interface CallsSpec {
  readonly prefix: string;
  readonly between: string;
  readonly suffix: string;
  readonly parallel: boolean;
  readonly tools: readonly {
    readonly begin: string;
    readonly end: string;
    /** JSON text of the schema of the arguments. */
    readonly schema: string;
    readonly path: string;
  }[];
}

/** What comes before what is constrained. */
export type Preamble =
  /** The answer may begin with reasoning, or goes on with it where it is `inside`. */
  | { readonly kind: 'reasoning'; readonly begin: string; readonly end: string; readonly inside: boolean }
  /** Channels: what is constrained is the final one's message, or a call on the commentary channel. */
  | { readonly kind: 'harmony' };

export interface ConstraintTask {
  readonly spec: ConstraintSpec;
  readonly preamble: Preamble | null;
  /** Special tokens by their texts, as far as the texts above have them. */
  readonly tokens: readonly (readonly [string, number])[];
}
