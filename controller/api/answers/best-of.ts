import type { JoinedPiece } from '../../gateway/piece.ts';

/** The `n` likeliest of a prompt's choices, by log-probability per token; among equals the first. */
export function bestChoices(choices: readonly JoinedPiece[], n: number): readonly JoinedPiece[] {
  if (choices.length === n) return choices;
  const likelihood = ({ logprobs }: JoinedPiece): number =>
    logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / Math.max(1, logprobs.length);
  return choices.toSorted((a, b) => likelihood(b) - likelihood(a)).slice(0, n);
}
