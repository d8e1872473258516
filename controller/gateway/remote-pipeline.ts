import { type ChannelCredentials, type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { dataChannelOptions } from '../../platform/rpc/channel.ts';
import { conclave, type RunRequest, type RunResponse } from '../../proto/messages.ts';
import type { Pipeline } from './pipeline.ts';

/** Codes of the gateway for what a lead worker answers; what is not listed is INTERNAL. */
const codes: Readonly<Partial<Record<status, string>>> = {
  [status.INVALID_ARGUMENT]: 'INVALID_ARGUMENT',
  // A stream that was cut leaves the request running on the lead for a moment; it is resumed under the same id.
  [status.ALREADY_EXISTS]: 'UNAVAILABLE',
  [status.RESOURCE_EXHAUSTED]: 'OVERLOADED',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.UNAUTHENTICATED]: 'UNAVAILABLE',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  // The lead's process ended while it answered.
  [status.CANCELLED]: 'UNAVAILABLE',
  [status.INTERNAL]: 'UNAVAILABLE',
};

class PipelineError extends Error {
  override readonly name = 'PipelineError';
  readonly code: string;
  readonly field: string | null;
  /** Of the lead worker. */
  readonly address: string;

  constructor(code: string, address: string, message: string, field: string | null, options: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.address = address;
    this.field = field;
  }
}

export interface RemotePipelineOptions {
  /** host:port of the lead worker. */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** Proves membership. */
  readonly metadata: () => Metadata;
}

const stopDeadlineMs = 10_000;

/** A pipeline whose lead is another process: StageService. */
export class RemotePipeline implements Pipeline {
  readonly address: string;
  readonly #client: InstanceType<typeof conclave.StageService>;
  readonly #metadata: () => Metadata;
  readonly #calls = new Set<{ cancel(): void }>();

  constructor(options: RemotePipelineOptions) {
    this.address = options.address;
    this.#metadata = options.metadata;
    this.#client = new conclave.StageService(options.address, options.credentials, dataChannelOptions);
  }

  /** Requests that run there now. */
  get running(): number {
    return this.#calls.size;
  }

  async *run(request: RunRequest, signal: AbortSignal): AsyncGenerator<RunResponse> {
    const call = this.#client.Run(request, this.#metadata());
    const cancel = (): void => call.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    this.#calls.add(call);
    try {
      if (signal.aborted) cancel();
      for await (const response of call) yield response as RunResponse;
    } catch (error) {
      throw toPipelineError(error as ServiceError, this.address);
    } finally {
      this.#calls.delete(call);
      signal.removeEventListener('abort', cancel);
      call.cancel();
    }
  }

  stopSequence(requestId: string, index: number): void {
    // A call that fails costs the work that it would have saved.
    const ignore = (): void => undefined;
    const deadline = { deadline: Date.now() + stopDeadlineMs };
    this.#client.StopSequence({ requestId, index }, this.#metadata(), deadline, ignore);
  }

  /** Ends what runs there, as if the connection had broken. */
  giveUp(): void {
    for (const call of this.#calls) call.cancel();
  }

  close(): void {
    this.#client.close();
  }
}

function toPipelineError(error: ServiceError, address: string): PipelineError {
  const code = codes[error.code] ?? 'INTERNAL';
  const field = error.metadata?.get('conclave-field')[0];
  const message = error.details || error.message;
  const shown = code === 'INVALID_ARGUMENT' ? message : `lead worker at ${address}: ${message}`;
  return new PipelineError(code, address, shown, typeof field === 'string' ? field : null, { cause: error });
}
