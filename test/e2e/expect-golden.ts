import { expect } from 'vitest';
import type { Golden } from './golden.ts';

/** A server that is asked over HTTP. */
export interface GoldenServer {
  /** Name of the model. */
  readonly model: string;
  post<T>(path: string, body: unknown): Promise<T>;
}

/** The figure that the results are promised to, in natural log units; f32 sums differ by far less. */
const tolerance = 1e-3;
export const outputTokens = 20;

export interface Completion {
  readonly choices: readonly {
    readonly index: number;
    readonly token_ids: readonly number[];
    readonly logprobs: {
      readonly token_logprobs: readonly (number | null)[];
      readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
    };
  }[];
  readonly usage: { readonly prompt_tokens_details?: { readonly cached_tokens?: number } };
}

/** Scores prompts and continues them greedily, with log-probabilities. */
export function completeGolden(
  server: GoldenServer,
  prompts: readonly (readonly number[])[],
  fields: object = {},
): Promise<Completion> {
  return server.post<Completion>('/v1/completions', {
    model: server.model,
    prompt: prompts.length === 1 ? prompts[0] : prompts,
    max_tokens: outputTokens,
    temperature: 0,
    ignore_eos: true,
    echo: true,
    logprobs: 1,
    return_token_ids: true,
    ...fields,
  });
}

/** Holds every log-probability and token of a completion against the golden ones. `echoed`: prompt positions came back. */
export function expectGolden(completion: Completion, goldens: readonly Golden[], echoed = true): void {
  expect(completion.choices).toHaveLength(goldens.length);
  for (const [index, golden] of goldens.entries()) {
    const choice = completion.choices.find((candidate) => candidate.index === index);
    if (choice === undefined) throw new Error(`no choice ${index}`);
    expect(choice.token_ids.slice(-outputTokens)).toEqual(golden.continuation);
    const expected = [...(echoed ? [null, ...golden.promptLogprobs] : []), ...golden.continuationLogprobs];
    const actual = choice.logprobs.token_logprobs;
    expect(actual).toHaveLength(expected.length);
    const worst = expected.reduce<number>((most, value, position) => {
      const got = actual[position];
      if (value === null) return got === null ? most : Number.POSITIVE_INFINITY;
      return Math.max(most, Math.abs((got ?? Number.NaN) - value));
    }, 0);
    expect(worst).toBeLessThan(tolerance);
  }
}

export function prompts(goldens: readonly Golden[]): readonly (readonly number[])[] {
  return goldens.map(({ prompt }) => prompt);
}
