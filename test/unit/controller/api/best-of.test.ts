import { expect, it } from 'vitest';
import { bestChoices } from '../../../../controller/api/answers/best-of.ts';
import { promptLogprobs, type TokenNames } from '../../../../controller/api/answers/logprobs.ts';
import { JoinedPiece } from '../../../../controller/gateway/piece.ts';

function choice(index: number, logprobs: readonly number[]): JoinedPiece {
  const piece = new JoinedPiece(index);
  piece.logprobs.push(...logprobs.map((logprob) => ({ tokenId: 0, logprob, topTokenIds: [], topLogprobs: [] })));
  return piece;
}

it('the best choices are the likeliest per token, not the shortest', () => {
  const choices = [choice(0, [-1]), choice(1, [-0.5, -0.5, -0.5]), choice(2, [-0.25]), choice(3, [-0.25])];
  expect(bestChoices(choices, 3).map(({ index }) => index)).toEqual([2, 3, 1]);
  expect(bestChoices(choices, 4)).toBe(choices);
});

it('prompt_logprobs name the token and the likeliest ones, with ranks as far as they are known', () => {
  const names: TokenNames = { name: (id) => `t${id}`, bytes: () => [] };
  const scored = (logprob: number, topTokenIds: number[]) => ({
    tokenId: 0,
    logprob,
    topTokenIds,
    topLogprobs: topTokenIds.map((_, i) => -i),
  });
  const scores = [scored(0, []), scored(-1, [4, 7]), scored(Number.NEGATIVE_INFINITY, [4, 5])];
  expect(promptLogprobs(names, [3, 7, 9], scores, 2)).toEqual([
    null,
    { 4: { logprob: -0, rank: 1, decoded_token: 't4' }, 7: { logprob: -1, rank: 2, decoded_token: 't7' } },
    {
      4: { logprob: -0, rank: 1, decoded_token: 't4' },
      5: { logprob: -1, rank: 2, decoded_token: 't5' },
      9: { logprob: -9999, rank: null, decoded_token: 't9' },
    },
  ]);
});
