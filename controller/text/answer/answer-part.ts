/**
 * What a model's text says: reasoning, content, and calls of tools, in the order in which they were written.
 */
export type AnswerPart =
  | { readonly kind: 'reasoning'; readonly text: string }
  | { readonly kind: 'content'; readonly text: string }
  /** A call begins; calls of an answer are numbered from 0. */
  | { readonly kind: 'tool-call'; readonly index: number; readonly id: string; readonly name: string }
  /** More of a call's arguments: together they are the text of one JSON object. */
  | { readonly kind: 'arguments'; readonly index: number; readonly text: string };

/** Takes a text as it comes. Pieces may end anywhere; what is no call comes back as content, and nothing is lost. */
export interface AnswerParser {
  /** `tokens`: of how many the piece was made. Empty texts count too. */
  push(text: string, tokens: number): readonly AnswerPart[];
  /** What was held back, when no more comes. Call once. */
  end(): readonly AnswerPart[];
  /** Tokens of reasoning so far. */
  readonly reasoningTokens: number;
}

/** Joins the texts of neighbouring parts of a kind. */
export function joinParts(parts: Iterable<AnswerPart>): AnswerPart[] {
  const joined: AnswerPart[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (part.kind !== 'tool-call' && last?.kind === part.kind && sameCall(last, part)) {
      joined[joined.length - 1] = { ...last, text: last.text + part.text };
    } else {
      joined.push(part);
    }
  }
  return joined;
}

function sameCall(a: AnswerPart, b: AnswerPart): boolean {
  return a.kind !== 'arguments' || b.kind !== 'arguments' || a.index === b.index;
}
