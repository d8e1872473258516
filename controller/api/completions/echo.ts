/** A prompt as the first part of its choices, where the request asks for that. */

import type { PromptResult } from '../../gateway/inference.ts';
import { Detokenizer, detokenize } from '../../text/detokenizer.ts';
import { codePoints } from '../../text/sequence-text.ts';
import type { TokenTable } from '../../text/token-table.ts';
import type { Prompt } from '../fields/prompts.ts';

export interface Echo {
  readonly text: string;
  /** Of the text, in code points. */
  readonly length: number;
  /** Prompt tokens with where they begin in the text; empty unless they are scored. The first one has no score. */
  readonly tokens: readonly { readonly id: number; readonly offset: number; readonly scored: Score | null }[];
}

type Score = PromptResult['promptLogprobs'][number];

export interface EchoOptions {
  readonly prompts: readonly Prompt[];
  readonly table: TokenTable;
  readonly echo: boolean;
  /** Alternatives for each token; null: no log-probabilities. */
  readonly logprobs: number | null;
  readonly skipSpecialTokens: boolean;
}

/** The echo of a prompt; empty where none is asked for. */
export function echoOf(options: EchoOptions, prompt: number, result: PromptResult): Echo {
  const { tokenIds, text } = options.prompts[prompt] as Prompt;
  if (!options.echo) return { text: '', length: 0, tokens: [] };
  const echoed = text ?? detokenize(options.table, tokenIds, options.skipSpecialTokens);
  const length = codePoints(echoed);
  if (options.logprobs === null) return { text: echoed, length, tokens: [] };
  const { logprobs } = options;
  const offsets = promptOffsets(options.table, tokenIds, echoed);
  const tokens = tokenIds.map((id, position) => ({
    id,
    offset: Math.min(offsets[position] as number, length),
    scored: position === 0 ? null : likeliest(result.promptLogprobs[position] ?? null, logprobs),
  }));
  return { text: echoed, length, tokens };
}

/** A score with as many alternatives as were asked for: the prompt may have been scored with more. */
function likeliest(score: Score | null, count: number): Score | null {
  if (score === null || score.topTokenIds.length <= count) return score;
  const { topTokenIds, topLogprobs } = score;
  return { ...score, topTokenIds: topTokenIds.slice(0, count), topLogprobs: topLogprobs.slice(0, count) };
}

/** Where prompt tokens begin in the echoed text, which shows special tokens only if the client wrote them. */
function promptOffsets(table: TokenTable, tokenIds: readonly number[], echoed: string): readonly number[] {
  const skipSpecialTokens = detokenize(table, tokenIds, false) !== echoed;
  const detokenizer = new Detokenizer(table, { skipSpecialTokens });
  let length = 0;
  return tokenIds.map((id) => {
    const offset = length;
    length += codePoints(detokenizer.push(id));
    return offset;
  });
}
