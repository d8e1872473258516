/**
 * Log-probabilities in the shapes of the two OpenAI APIs.
 */
import type { RunResponse } from '../../../proto/messages.ts';
import { type TokenTable, tokenBytes } from '../../text/token-table.ts';

type TokenLogprobs = RunResponse['logprobs'][number];

/** JSON has no infinity; this is what clients know in its place. */
const lowest = -9999;

const lossyUtf8 = new TextDecoder();

/** How tokens are named in answers. */
export interface TokenNames {
  /** Text of a token; for bytes that are no text, what the API shows instead. */
  name(id: number): string;
  bytes(id: number): readonly number[];
}

/** Tokens by their text; `asIds`: as "token_id:ID". */
export function tokenNames(table: TokenTable, asIds: boolean, partial: 'replace' | 'escape'): TokenNames {
  return {
    name(id) {
      if (asIds) return `token_id:${id}`;
      const entry = table.entry(id);
      if (entry.text !== null) return entry.text;
      return partial === 'replace' ? lossyUtf8.decode(tokenBytes(entry)) : escapeBytes(tokenBytes(entry));
    },
    bytes: (id) => [...tokenBytes(table.entry(id))],
  };
}

function escapeBytes(bytes: Uint8Array): string {
  return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}

function clamp(logprob: number): number {
  return logprob >= lowest ? logprob : lowest;
}

/** One entry of a chat choice's `logprobs.content`. */
export function chatLogprob(
  names: TokenNames,
  { tokenId = 0, logprob, topTokenIds, topLogprobs }: TokenLogprobs,
): object {
  const entry = (id: number, value: number) => ({
    token: names.name(id),
    logprob: clamp(value),
    bytes: names.bytes(id),
  });
  return {
    ...entry(tokenId, logprob),
    top_logprobs: topTokenIds.map((id, i) => entry(id, topLogprobs[i] as number)),
  };
}

/** vLLM's `prompt_logprobs`: for each prompt token but the first what it and the likeliest ones score, by token id. */
export function promptLogprobs(
  names: TokenNames,
  tokenIds: readonly number[],
  scores: readonly TokenLogprobs[],
  alternatives: number,
): readonly (object | null)[] {
  return tokenIds.map((id, position) => {
    const scored = position === 0 ? undefined : scores[position];
    if (scored === undefined) return null;
    const entry = (token: number, logprob: number, rank: number | null) =>
      [token, { logprob: clamp(logprob), rank, decoded_token: names.name(token) }] as const;
    const found = scored.topTokenIds.indexOf(id);
    const top = scored.topTokenIds.slice(0, alternatives);
    return Object.fromEntries([
      ...top.map((token, i) => entry(token, scored.topLogprobs[i] as number, i + 1)),
      // Beyond the likeliest ones the rank of a token is not known.
      entry(id, scored.logprob, found === -1 ? null : found + 1),
    ]);
  });
}

/** `logprobs` of a text completion's choice. All arrays have one entry per token. */
export class TextLogprobs {
  readonly tokens: string[] = [];
  readonly token_logprobs: (number | null)[] = [];
  readonly top_logprobs: (Readonly<Record<string, number>> | null)[] = [];
  /** Where tokens begin in the choice's text, in code points. */
  readonly text_offset: number[] = [];

  add(names: TokenNames, id: number, offset: number, scored: TokenLogprobs | null): void {
    this.tokens.push(names.name(id));
    this.text_offset.push(offset);
    this.token_logprobs.push(scored === null ? null : clamp(scored.logprob));
    this.top_logprobs.push(scored === null ? null : topLogprobs(names, id, scored));
  }
}

/** The likeliest tokens and, where it is not among them, the token itself. */
function topLogprobs(names: TokenNames, id: number, scored: TokenLogprobs): Readonly<Record<string, number>> {
  const top: Record<string, number> = {};
  scored.topTokenIds.forEach((topId, i) => {
    top[names.name(topId)] ??= clamp(scored.topLogprobs[i] as number);
  });
  top[names.name(id)] ??= clamp(scored.logprob);
  return top;
}
