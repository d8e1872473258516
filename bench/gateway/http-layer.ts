import type { ServerProcess } from '../serving/server-process.ts';
import { outputTokens, prompt, runStreams } from './workload.ts';

/** Drives a server over HTTP, each stream sent back event by event. */
export function driveHttp(server: ServerProcess, streams: number): Promise<void> {
  return runStreams(streams, async (stream) => {
    let text = '';
    for await (const piece of server.complete(prompt(stream), outputTokens)) text += piece;
    return Number(/"completion_tokens":(\d+)/.exec(text)?.[1]);
  });
}
