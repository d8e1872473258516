import type { ServerProcess } from '../serving/server-process.ts';

/** Tokens of some streams and how long they took, from the first token of the last stream to the end. */
export interface Decoded {
  readonly tokens: number;
  readonly ms: number;
}

/** Streams so many completions at once. Counted is the time in which all of them decode: prompts are not. */
export async function decode(server: ServerProcess, streams: number, outputTokens: number): Promise<Decoded> {
  let begun = 0;
  let startedAt = 0;
  let tokens = 0;
  const drive = async (stream: number): Promise<void> => {
    let rest = '';
    let count = 0;
    for await (const piece of server.complete([stream + 1, 7, 11, 13], outputTokens)) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const ids = /"token_ids":\[([^\]]+)\]/.exec(line)?.[1]?.split(',') ?? [];
        if (ids.length === 0) continue;
        if (startedAt > 0) tokens += ids.length;
        if (count === 0 && ++begun === streams) startedAt = performance.now();
        count += ids.length;
      }
    }
    if (count !== outputTokens) throw new Error(`a stream brought ${count} tokens instead of ${outputTokens}`);
  };
  await Promise.all(Array.from({ length: streams }, (_, stream) => drive(stream)));
  return { tokens, ms: performance.now() - startedAt };
}
