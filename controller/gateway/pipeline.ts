import type { RunRequest, RunResponse } from '../../proto/messages.ts';

/**
 * A pipeline's lead worker, as the gateway sees it: token ids in, token ids out. In one process it is called directly;
 * across processes it is StageService.
 */
export interface Pipeline {
  /**
   * Runs one request. The stream ends after the last sequence's finish reason. Ending the iteration early or aborting the
   * signal frees the request's sequences. Fails with an OVERLOADED error when the queue is full.
   */
  run(request: RunRequest, signal: AbortSignal): AsyncIterable<RunResponse>;
  /**
   * Ends one sequence of a request that runs here: its cache is freed and the others go on. What has ended already is left
   * alone. It saves work and nothing else, so it cannot fail: at worst the sequence computes on until the request ends.
   */
  stopSequence(requestId: string, index: number): void;
}
