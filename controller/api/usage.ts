/** Tokens that a request used, in OpenAI's shape. */
export class UsageCounter {
  #prompt = 0;
  #completion = 0;
  #cached = 0;

  addPrompt(tokens: number): void {
    this.#prompt += tokens;
  }

  addCached(tokens: number): void {
    this.#cached += tokens;
  }

  addCompletion(tokens: number): void {
    this.#completion += tokens;
  }

  toJSON(): object {
    return {
      prompt_tokens: this.#prompt,
      total_tokens: this.#prompt + this.#completion,
      completion_tokens: this.#completion,
      prompt_tokens_details: { cached_tokens: this.#cached },
    };
  }
}
