/** What texts a grammar allows: regular expressions over characters and special tokens, which may call rules. */
import type { CodePoints } from './code-points.ts';
import type { Dfa } from './dfa.ts';

export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  /** One character of a set. */
  | { readonly kind: 'character'; readonly set: CodePoints }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly parts: readonly Expression[] }
  /** `most` null: any number of times. */
  | { readonly kind: 'repeat'; readonly part: Expression; readonly least: number; readonly most: number | null }
  /** All that a rule stands for. Rules may be recursive: a rule is given its expression after it is made. */
  | { readonly kind: 'call'; readonly rule: Rule }
  /** A text that an automaton accepts, each of its characters written as `spell` says; null: as it is. */
  | { readonly kind: 'automaton'; readonly dfa: Dfa; readonly spell: Spelling | null }
  /** Ways through nodes; node 0 is the start. `take` null: nothing is taken. */
  | { readonly kind: 'graph'; readonly nodes: readonly GraphNode[] }
  /** A special token, which is no text. */
  | { readonly kind: 'token'; readonly id: number };

export interface GraphNode {
  readonly final: boolean;
  readonly edges: readonly { readonly take: Expression | null; readonly to: number }[];
}

/** How characters are written: those of a set, in as many ways as it takes. */
export type Spelling = (set: CodePoints) => readonly Expression[];

export interface Rule {
  /** For errors. */
  readonly name: string;
  expression: Expression | null;
}

export const empty: Expression = { kind: 'sequence', parts: [] };
/** No text at all. */
export const never: Expression = { kind: 'choice', parts: [] };

export function text(value: string): Expression {
  return { kind: 'text', text: value };
}

export function sequence(...parts: readonly Expression[]): Expression {
  return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
}

export function choice(...parts: readonly Expression[]): Expression {
  return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
}

export function repeat(part: Expression, least: number, most: number | null): Expression {
  return { kind: 'repeat', part, least, most };
}

export function optional(part: Expression): Expression {
  return { kind: 'repeat', part, least: 0, most: 1 };
}

export function call(rule: Rule): Expression {
  return { kind: 'call', rule };
}

export function character(set: CodePoints): Expression {
  return { kind: 'character', set };
}
