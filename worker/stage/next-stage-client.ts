import type { ChannelCredentials, Metadata } from '@grpc/grpc-js';
import type { StepBatch, StepOutput } from '../../native/native.ts';
import { dataChannelOptions } from '../../platform/rpc/channel.ts';
import type { StepRequest } from '../../proto/generated/conclave/v1/StepRequest.ts';
import type { StepResponse__Output } from '../../proto/generated/conclave/v1/StepResponse.ts';
import { conclave } from '../../proto/messages.ts';
import type { CacheFields } from '../wire/cache-claim.ts';
import { RankLost } from '../wire/failure.ts';
import { decodeOutput, encodeBatch } from '../wire/step-codec.ts';
import { StreamPeer } from '../wire/stream-peer.ts';
import type { NextStage } from './stage-runner.ts';

export interface NextStageClientOptions {
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

/** Sends steps to the next stage of a pipeline. Its cache makes it irreplaceable: a failure is RankLost. */
export class NextStageClient implements NextStage {
  readonly #stream: StreamPeer<StepRequest, StepResponse__Output>;
  readonly #deadlineMs: number;
  readonly #pipeline: string;

  constructor(options: NextStageClientOptions) {
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
