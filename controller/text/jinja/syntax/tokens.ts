/** What a template is made of. Operators have their own text as kind. */
export type Token =
  | { readonly kind: TextKind; readonly value: string; readonly line: number }
  | { readonly kind: 'integer'; readonly value: bigint; readonly line: number }
  | { readonly kind: 'float'; readonly value: number; readonly line: number }
  | { readonly kind: Mark | Operator; readonly line: number };

type TextKind = 'data' | 'name' | 'string';

export type Mark = 'variable_begin' | 'variable_end' | 'block_begin' | 'block_end' | 'eof';

/** Longer ones first: each is tried in this order. */
export const operators = [
  ...['//', '**', '==', '!=', '>=', '<='],
  ...['+', '-', '/', '*', '%', '~', '[', ']', '(', ')', '{', '}', '>', '<', '=', '.', ':', '|', ',', ';'],
] as const;

export type Operator = (typeof operators)[number];

/** A token in words, for errors. */
export function describeToken(token: Token): string {
  switch (token.kind) {
    case 'name':
      return token.value;
    case 'variable_begin':
      return 'begin of print statement';
    case 'variable_end':
      return 'end of print statement';
    case 'block_begin':
      return 'begin of statement block';
    case 'block_end':
      return 'end of statement block';
    case 'eof':
      return 'end of template';
    default:
      return token.kind;
  }
}
