import { type handleUnaryCall, Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import type { RunRequest__Output } from '../../proto/generated/conclave/v1/RunRequest.ts';
import type { RunResponse } from '../../proto/generated/conclave/v1/RunResponse.ts';
import type { StopSequenceRequest__Output } from '../../proto/generated/conclave/v1/StopSequenceRequest.ts';
import type { StopSequenceResponse } from '../../proto/generated/conclave/v1/StopSequenceResponse.ts';
import type { Engine } from '../engine/engine.ts';
import { type CodedError, grpcStatus } from '../errors.ts';

/** Metadata key under which an INVALID_ARGUMENT names the field at fault. */
export const FIELD_KEY = 'conclave-field';

class Interrupted extends Error implements CodedError {
  readonly code = 'UNAVAILABLE';
}

/**
 * StageService.Run over the engine of this worker's pipeline. An engine that ends because its seat is taken away answers
 * UNAVAILABLE instead of an error of the request: the gateway resumes it where the pipeline runs now.
 */
export async function serveRun(
  call: ServerWritableStream<RunRequest__Output, RunResponse>,
  engineOf: () => Engine | null,
): Promise<void> {
  const abort = new AbortController();
  call.on('cancelled', () => abort.abort());
  call.on('close', () => abort.abort());
  call.on('error', () => abort.abort());
  try {
    const engine = engineOf();
    if (engine === null) throw new Interrupted('this worker leads no pipeline now');
    for await (const response of engine.run(call.request, abort.signal)) {
      if (response.finishReason === 'FINISH_REASON_ERROR' && !engine.snapshot().accepting) {
        throw new Interrupted('the pipeline moves to another worker');
      }
      if (!call.write(response)) await drained(call, abort.signal);
    }
    call.end();
  } catch (error) {
    if (abort.signal.aborted) return;
    const metadata = new Metadata();
    if (error instanceof Error && 'field' in error && typeof error.field === 'string')
      metadata.set(FIELD_KEY, error.field);
    const details = error instanceof Error ? error.message : String(error);
    call.emit('error', { code: grpcStatus(error), details, metadata });
  }
}

/** StageService.StopSequence. An engine that has gone took its sequences with it. */
export function stopSequenceHandler(
  engineOf: () => Engine | null,
): handleUnaryCall<StopSequenceRequest__Output, StopSequenceResponse> {
  return ({ request }, callback) => {
    engineOf()?.stopSequence(request.requestId, request.index);
    callback(null, {});
  };
}

function drained(call: ServerWritableStream<RunRequest__Output, RunResponse>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.once('drain', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
