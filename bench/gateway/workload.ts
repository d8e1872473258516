/** What every layer is given to do: the same prompts, the same number of tokens. */
export const promptTokens = 16;
export const outputTokens = 256;

/** Token ids that depend on the stream. */
export function prompt(stream: number): readonly number[] {
  return Array.from({ length: promptTokens }, (_, position) => (stream * 31 + position * 7) % 256);
}

/** Runs so many streams at once; fails when one brings fewer or more tokens than it should. */
export async function runStreams(streams: number, generate: (stream: number) => Promise<number>): Promise<void> {
  const counts = await Promise.all(Array.from({ length: streams }, (_, stream) => generate(stream)));
  const wrong = counts.find((count) => count !== outputTokens);
  if (wrong !== undefined) throw new Error(`a stream brought ${wrong} tokens instead of ${outputTokens}`);
}
