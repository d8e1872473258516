/** Which tokens a request allows: `min_tokens`, `bad_words` and `allowed_token_ids`, with vLLM's meanings. */
import { z } from 'zod';
import type { Grammar, TokenConstraint } from '../../../proto/messages.ts';
import { invalidField } from '../../errors.ts';
import type { Served } from '../../gateway/inference.ts';
import { checkTokenIds, integer, list, tokenIds } from './schema.ts';

const maxBadWords = 1024;
const badWordExpected = 'a text of 1 to 1024 characters';
const maxAllowed = 2 ** 20;

export const constraintFields = {
  min_tokens: integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  bad_words: list(z.string(badWordExpected).min(1, badWordExpected).max(1024, badWordExpected), maxBadWords).nullish(),
  allowed_token_ids: tokenIds(maxAllowed),
};

type ConstraintBody = z.output<z.ZodObject<typeof constraintFields>>;

/** Null where all tokens may come. `maxTokens`: how many will come at most; `grammar`: what the text may be, null: anything. */
export async function readConstraint(
  body: ConstraintBody,
  served: Served,
  maxTokens: number,
  grammar: Grammar | null,
): Promise<TokenConstraint | null> {
  const { bad_words: words, allowed_token_ids: allowed } = body;
  const minTokens = body.min_tokens ?? 0;
  if (minTokens > maxTokens) {
    throw invalidField('min_tokens', minTokens, `at most the tokens that are generated, which are ${maxTokens}`);
  }
  if (allowed?.length === 0) throw invalidField('allowed_token_ids', allowed, 'at least one token id');
  const allowedTokenIds = checkTokenIds(allowed ?? [], 'allowed_token_ids', served.model.vocabSize);
  const badWords = await badWordTokens([...new Set(words ?? [])], served);
  if (grammar === null && minTokens === 0 && allowedTokenIds.length === 0 && badWords.length === 0) return null;
  return {
    grammar,
    allowedTokenIds: [...allowedTokenIds],
    badWords: badWords.map((ids) => ({ ids })),
    minTokens,
  };
}

/**
 * A word at the beginning of a text and, where a space before it makes another token of it and not more of them, behind
 * other words.
 */
async function badWordTokens(words: readonly string[], { model, text }: Served): Promise<number[][]> {
  const runs: number[][] = [];
  for (const [i, word] of words.entries()) {
    const encode = (spaced: string): Promise<number[]> => text.encode(spaced, false, model.maxModelLen);
    const alone = await encode(word.trimStart());
    const behind = await encode(` ${word.trimStart()}`);
    if (alone.length === 0) throw invalidField(`bad_words[${i}]`, word, 'a text that has tokens');
    runs.push(alone);
    if (behind[0] !== alone[0] && behind.length === alone.length) runs.push(behind);
  }
  return runs;
}
