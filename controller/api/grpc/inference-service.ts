/**
 * conclave.v1.InferenceService over gRPC: the same requests as over HTTP, in token ids or text.
 */
import { type ServiceError as GrpcError, Metadata, type ServerWritableStream, type sendUnaryData } from '@grpc/grpc-js';
import type { GrpcServer } from '../../../platform/rpc/server.ts';
import type { GenerateRequest__Output as GenerateRequest } from '../../../proto/generated/conclave/v1/GenerateRequest.ts';
import type { GenerateResponse } from '../../../proto/generated/conclave/v1/GenerateResponse.ts';
import type { InferenceServiceHandlers } from '../../../proto/generated/conclave/v1/InferenceService.ts';
import { conclave } from '../../../proto/messages.ts';
import { ServiceError, toServiceError } from '../../errors.ts';
import type { Inference, Progress } from '../../gateway/inference.ts';
import type { Piece } from '../../text/sequence-text.ts';
import { resolveModelName } from '../fields/model-name.ts';
import { requestIdOf } from '../fields/request-id.ts';
import { planGenerate, readGrpcPrompt } from './grpc-requests.ts';

type GenerateCall = ServerWritableStream<GenerateRequest, GenerateResponse>;

/** `onInternalError` receives failures whose details clients do not get. */
export function addInferenceService(
  server: GrpcServer,
  inference: Inference,
  onInternalError: (error: unknown) => void,
): void {
  const toStatus = (error: unknown): Partial<GrpcError> => {
    const failure = toServiceError(error);
    if (failure.code === 'INTERNAL') onInternalError(failure.cause ?? failure);
    return grpcStatus(failure);
  };
  const handlers: InferenceServiceHandlers = {
    Generate(call) {
      generate(call, inference).catch((error: unknown) => call.emit('error', toStatus(error)));
    },
    Tokenize(call, callback) {
      void answer(callback, toStatus, async () => {
        resolveModelName(call.request.model, inference);
        const prompt = await readGrpcPrompt(call.request.input ?? null, call.request, inference, null);
        return { tokenIds: [...prompt], maxModelLen: inference.model.maxModelLen };
      });
    },
    GetModel(_call, callback) {
      const { names, maxModelLen, vocabSize, parameters, activeParameters, digest } = inference.model;
      void answer(callback, toStatus, async () => ({
        name: names[0],
        maxModelLen,
        vocabSize,
        parameters,
        activeParameters,
        digest,
      }));
    },
  };
  server.addService('conclave.v1.InferenceService', conclave.InferenceService.service, handlers);
}

async function answer<Response>(
  callback: sendUnaryData<Response>,
  toStatus: (error: unknown) => Partial<GrpcError>,
  work: () => Promise<Response>,
): Promise<void> {
  let response: Response;
  try {
    response = await work();
  } catch (error) {
    callback(toStatus(error));
    return;
  }
  callback(null, response);
}

async function generate(call: GenerateCall, inference: Inference): Promise<void> {
  const requestId = requestIdOf(call.metadata.get('x-request-id')[0]);
  const metadata = new Metadata();
  metadata.set('x-request-id', requestId);
  call.sendMetadata(metadata);
  await inference.admit(remainingMs(call), async (controller) => {
    call.on('cancelled', () => controller.abort(new ServiceError('CANCELLED', 'the client cancelled the call')));
    resolveModelName(call.request.model, inference);
    const generation = await planGenerate(call.request, inference, controller.signal);
    const writer = new ResponseWriter(call, generation.promptTokenIds.length);
    await inference.generateAll([generation], requestId, controller, (_, progress) => writer.add(progress));
    writer.end();
  });
}

/** Writes pieces as messages. The last one is kept back, because it carries usage. */
class ResponseWriter {
  readonly #call: GenerateCall;
  readonly #promptTokens: number;
  #completionTokens = 0;
  #cachedTokens = 0;
  #last: GenerateResponse = {};
  #slow: Promise<void> | null = null;

  constructor(call: GenerateCall, promptTokens: number) {
    this.#call = call;
    this.#promptTokens = promptTokens;
  }

  add({ piece, prompt }: Progress): void | Promise<void> {
    this.#completionTokens += piece.tokenIds.length;
    this.#cachedTokens += prompt?.cachedTokens ?? 0;
    const message: GenerateResponse = {
      index: piece.index,
      text: piece.text,
      tokenIds: piece.tokenIds as number[],
      logprobs: piece.logprobs,
      promptLogprobs: prompt?.promptLogprobs ?? [],
      finishReason: finishReason(piece),
    };
    if (piece.finish !== null) {
      if (this.#last.index !== undefined) this.#write(this.#last);
      this.#last = message;
    } else {
      this.#write(message);
    }
    return this.#slow ?? undefined;
  }

  end(): void {
    const usage = {
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      cachedTokens: this.#cachedTokens,
    };
    this.#call.write({ ...this.#last, usage });
    this.#call.end();
  }

  #write(message: GenerateResponse): void {
    if (this.#call.write(message) || this.#slow !== null) return;
    this.#slow = new Promise((resolve) => {
      const ready = () => {
        this.#call.off('drain', ready);
        this.#call.off('cancelled', ready);
        this.#slow = null;
        resolve();
      };
      this.#call.on('drain', ready);
      this.#call.on('cancelled', ready);
    });
  }
}

function finishReason({ finish }: Piece): 'FINISH_REASON_UNSPECIFIED' | 'FINISH_REASON_STOP' | 'FINISH_REASON_LENGTH' {
  if (finish === null) return 'FINISH_REASON_UNSPECIFIED';
  return finish.reason === 'stop' ? 'FINISH_REASON_STOP' : 'FINISH_REASON_LENGTH';
}

/** Milliseconds until the client's deadline; null without one. */
function remainingMs(call: GenerateCall): number | null {
  const deadline = call.getDeadline();
  const at = deadline instanceof Date ? deadline.getTime() : deadline;
  return Number.isFinite(at) ? Math.max(0, at - Date.now()) : null;
}

function grpcStatus(error: ServiceError): Partial<GrpcError> {
  const metadata = new Metadata();
  metadata.set('conclave-error-code', error.code);
  if (error.field !== null)
    metadata.set('conclave-error-field', error.field.slice(0, 256).replace(/[^\x20-\x7e]/g, '?'));
  if (error.retryAfterSeconds !== null) metadata.set('retry-after', String(error.retryAfterSeconds));
  return { code: error.grpcStatus, details: error.message, metadata };
}
