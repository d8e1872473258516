import { randomUUID } from 'node:crypto';
import type { RunRequest } from '../../proto/messages.ts';
import type { Engine } from '../../worker/engine/engine.ts';
import { outputTokens, prompt, runStreams } from './workload.ts';

/** Drives the scheduler and the native stage, in this process. */
export function driveEngine(engine: Engine, streams: number): Promise<void> {
  return runStreams(streams, async (stream) => {
    let tokens = 0;
    for await (const response of engine.run(request(stream), new AbortController().signal)) {
      tokens += response.tokenIds.length;
    }
    return tokens;
  });
}

function request(stream: number): RunRequest {
  return {
    requestId: randomUUID(),
    promptTokenIds: [...prompt(stream)],
    outputTokenIds: [],
    sampling: { temperature: 0, logitBias: {} },
    limits: { maxTokens: outputTokens, stop: [], stopTokenIds: [], ignoreEos: true },
    n: 1,
    constraint: null,
  };
}
