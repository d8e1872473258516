import type { Progress } from '../../gateway/inference.ts';

/** Tokens that a request used; as JSON in OpenAI's shape. */
export class UsageCounter {
  readonly #reasoning: { readonly reasoningTokens: number } | null;
  prompt = 0;
  completion = 0;
  cached = 0;

  /** `reasoning`: what counts reasoning; null where none is separated. */
  constructor(reasoning: { readonly reasoningTokens: number } | null = null) {
    this.#reasoning = reasoning;
  }

  /** `promptTokens`: of the prompt that the progress belongs to. */
  add(promptTokens: number, { piece, prompt }: Progress): void {
    this.completion += piece.tokenIds.length;
    if (prompt === null) return;
    this.prompt += promptTokens;
    this.cached += prompt.cachedTokens;
  }

  toJSON(): object {
    return {
      prompt_tokens: this.prompt,
      total_tokens: this.prompt + this.completion,
      completion_tokens: this.completion,
      prompt_tokens_details: { cached_tokens: this.cached },
      ...(this.#reasoning === null
        ? {}
        : { completion_tokens_details: { reasoning_tokens: this.#reasoning.reasoningTokens } }),
    };
  }
}
