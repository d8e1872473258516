import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import type { StepBatch, StepOutput } from '../../native/native.ts';
import type { StepRequest__Output } from '../../proto/generated/conclave/v1/StepRequest.ts';
import type { StepResponse } from '../../proto/generated/conclave/v1/StepResponse.ts';
import { AnswerStream } from '../wire/answer-stream.ts';
import type { CacheFields } from '../wire/cache-claim.ts';
import { decodeBatch, encodeOutput } from '../wire/step-codec.ts';

/** Runs micro-batches that come from the stage before. */
export interface StepRunner {
  run(batch: StepBatch): Promise<StepOutput>;
}

type Stream = ServerDuplexStream<StepRequest__Output, StepResponse>;

/** The stage of a pipeline here; throws CacheRefused when its cache is not the asker's. */
type RunnerOf = (pipeline: string, cache: CacheFields) => StepRunner | null;

/** Steps of one stream that may wait or run at a time; more are refused. A stage sends two micro-batches at most. */
const MAX_RUNNING = 16;

/** StageService.Step over the stage of the named pipeline. Steps run in the order in which they come. */
export function serveSteps(stream: Stream, runnerOf: RunnerOf): void {
  let running = 0;
  const answers = new AnswerStream<StepRequest__Output, StepResponse>(stream, 'steps');
  const refuse = ({ stepId }: StepRequest__Output, error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error);
    answers.refuse({ stepId, error: message }, message);
  };
  answers.onRequest((request) => {
    if (running >= MAX_RUNNING) {
      refuse(request, new Error(`${running} steps of this stream are in flight (limit ${MAX_RUNNING})`));
      return;
    }
    running++;
    runStep(request, runnerOf)
      .finally(() => running--)
      .then(
        (response) => answers.answer(response),
        (error: unknown) => refuse(request, error),
      );
  });
  stream.sendMetadata(new Metadata());
}

async function runStep(request: StepRequest__Output, runnerOf: RunnerOf): Promise<StepResponse> {
  const runner = runnerOf(request.pipeline, request);
  if (runner === null) throw new Error(`no stage of pipeline "${request.pipeline}" is loaded here`);
  const { hidden, batch, stepId } = request;
  if (hidden === null || batch === null) throw new Error('hidden, batch: expected both, got one or none');
  if (hidden.dtype !== 'DATA_TYPE_F32') throw new Error(`hidden.dtype: expected F32, got ${hidden.dtype}`);
  return { stepId, sampled: encodeOutput(await runner.run(decodeBatch(batch, hidden.data))) };
}
