import type { AnswerParser } from './answer-part.ts';

/** Reads a text that is content, all of it. */
export function contentOnly(): AnswerParser {
  return {
    push: (text) => (text === '' ? [] : [{ kind: 'content', text }]),
    end: () => [],
    reasoningTokens: 0,
  };
}
