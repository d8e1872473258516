import { type ChannelCredentials, Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import type { StepBatch, StepOutput } from '../../native/native.ts';
import { dataChannelOptions } from '../../proto/channel.ts';
import type { StepRequest, StepRequest__Output } from '../../proto/generated/conclave/v1/StepRequest.ts';
import type { StepResponse, StepResponse__Output } from '../../proto/generated/conclave/v1/StepResponse.ts';
import { conclave } from '../../proto/messages.ts';
import { AnswerStream } from '../shard/answer-stream.ts';
import { RankLost } from '../shard/failure.ts';
import { StreamPeer } from '../shard/stream-peer.ts';
import type { CacheFields } from './cache-claim.ts';
import type { NextStage } from './stage-runner.ts';
import { decodeBatch, decodeOutput, encodeBatch, encodeOutput } from './step-codec.ts';

export interface HopOptions {
  /** Worker id of the next stage. */
  readonly id: string;
  /** host:port of its gRPC services. */
  readonly address: string;
  /** Id of the pipeline. */
  readonly pipeline: string;
  readonly credentials: ChannelCredentials;
  /** Sent with the stream: proves membership. */
  readonly metadata: () => Metadata;
  /** Milliseconds that a step may take in all later stages together. */
  readonly deadlineMs: number;
}

/** The way to the next stage of a pipeline. Its cache makes it irreplaceable: a failure is RankLost. */
export class Hop implements NextStage {
  readonly #stream: StreamPeer<StepRequest, StepResponse__Output>;
  readonly #deadlineMs: number;
  readonly #pipeline: string;

  constructor(options: HopOptions) {
    this.#deadlineMs = options.deadlineMs;
    this.#pipeline = options.pipeline;
    this.#stream = new StreamPeer<StepRequest, StepResponse__Output>({
      id: options.id,
      open: () => {
        const client = new conclave.StageService(options.address, options.credentials, dataChannelOptions);
        return { stream: client.Step(options.metadata()), close: () => client.close() };
      },
      idOf: (response) => response.stepId,
      errorOf: (response) => (response.outcome === 'error' ? (response.error ?? 'unknown') : null),
    });
  }

  get connected(): boolean {
    return this.#stream.connected;
  }

  async step(hidden: Uint8Array, batch: StepBatch, epoch: number, cache: CacheFields): Promise<StepOutput> {
    const rows = batch.positions.length;
    const data = Buffer.from(hidden.buffer, hidden.byteOffset, hidden.byteLength);
    const shape = [rows, rows === 0 ? 0 : hidden.byteLength / 4 / rows];
    try {
      const response = await this.#stream.send(
        (stepId) => ({
          ...cache,
          stepId,
          epoch,
          pipeline: this.#pipeline,
          hidden: { dtype: 'DATA_TYPE_F32', shape, data },
          batch: encodeBatch(batch),
          deadlineMs: this.#deadlineMs,
        }),
        this.#deadlineMs,
      );
      if (!response.sampled) throw new Error(`answered ${response.outcome ?? 'nothing'} instead of tokens`);
      const wanted = batch.logits.rows.length;
      const { rows: sampled } = response.sampled;
      if (sampled.length !== wanted) throw new Error(`answered ${sampled.length} tokens; expected ${wanted}`);
      return decodeOutput(response.sampled);
    } catch (error) {
      throw new RankLost(this.#stream.id, { cause: error });
    }
  }

  /** See StreamPeer.retryNow. */
  retryNow(): void {
    this.#stream.retryNow();
  }

  close(): void {
    this.#stream.close();
  }
}

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
