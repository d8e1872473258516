import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import type { ActivationType, EncodedTotals, ExpertBank, ExpertRows, RankShard } from '../../native/native.ts';
import { MAX_DATA_MESSAGE_BYTES } from '../../platform/rpc/channel.ts';
import type { ForwardRequest__Output as ForwardRequest } from '../../proto/generated/conclave/v1/ForwardRequest.ts';
import type { ForwardResponse } from '../../proto/generated/conclave/v1/ForwardResponse.ts';
import type { ShardServiceHandlers } from '../../proto/generated/conclave/v1/ShardService.ts';
import { sessionMetadata, type WorkerSession } from '../../proto/worker-session.ts';
import type { CodedError, WorkerErrorCode } from '../errors.ts';
import { AnswerStream } from '../wire/answer-stream.ts';
import type { CacheFields } from '../wire/cache-claim.ts';
import { partialTypes } from './partial-type.ts';

/** What a worker computes for others. */
export interface HostedShards {
  readonly bank: ExpertBank;
  /** The rank that this worker holds of a pipeline's stage, if any. Throws CacheRefused when its cache is not the asker's. */
  rank(pipeline: string, claim: CacheFields): RankShard | undefined;
  /** The rank that holds the pipeline's slice of a layer's dense part, if any. */
  denseRank(pipeline: string, layer: number): RankShard | undefined;
  /** Newest plan that this worker knows. */
  epoch(): number;
  /** Elements of a row: of the residual stream, and as experts of a layer read and give it. */
  readonly hidden: number;
  readonly expertWidth: (layer: number) => number;
}

export interface ShardServerOptions {
  readonly shards: HostedShards;
  /** This process, said as a stream is accepted; null: nothing is said. */
  readonly session: WorkerSession | null;
  /** Dispatches of one stream that may wait or run at a time; more are refused with BUSY. */
  readonly maxPerStream?: number;
  /** Bytes of rows that those dispatches may hold; more are refused with BUSY. */
  readonly maxBytesPerStream?: number;
  readonly observer: ShardObserver;
}

export interface ShardObserver {
  onForward(layer: number, rows: number, elapsedMs: number): void;
  /** A request that was refused, by the stable code of the answer. */
  onRefused(code: string, message: string): void;
}

class Refusal extends Error implements CodedError {
  readonly code: WorkerErrorCode;

  constructor(code: WorkerErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

type Stream = ServerDuplexStream<ForwardRequest, ForwardResponse>;

/**
 * ShardService over this worker's shards. Every request is checked before native code sees it, answered with a result or
 * a coded error, and never harms the stream of another peer.
 */
export function shardService(options: ShardServerOptions): ShardServiceHandlers {
  return { Forward: (stream: Stream) => serveStream(stream, options) };
}

function serveStream(stream: Stream, options: ShardServerOptions): void {
  const { maxPerStream = 64, maxBytesPerStream = 2 * MAX_DATA_MESSAGE_BYTES, observer, session } = options;
  let running = 0;
  let runningBytes = 0;
  const answers = new AnswerStream<ForwardRequest, ForwardResponse>(stream, 'dispatches');
  answers.onRequest((request) => {
    const received = performance.now();
    const refuse = (error: unknown): void => {
      const refusal = describe(error);
      observer.onRefused(refusal.code, refusal.message);
      const elapsedUs = microsSince(received);
      const head = { dispatchId: request.dispatchId, epoch: options.shards.epoch(), elapsedUs };
      answers.refuse({ ...head, error: refusal }, refusal.message);
    };
    if (running >= maxPerStream) {
      refuse(new Refusal('BUSY', `${running} dispatches of this stream are in flight (limit ${maxPerStream})`));
      return;
    }
    const bytes = request.rows.byteLength;
    if (running > 0 && runningBytes + bytes > maxBytesPerStream) {
      const problem = `dispatches of this stream in flight hold ${runningBytes + bytes} bytes (limit ${maxBytesPerStream})`;
      refuse(new Refusal('BUSY', problem));
      return;
    }
    let answer: Promise<EncodedTotals>;
    try {
      answer = compute(request, options.shards);
    } catch (error) {
      refuse(error);
      return;
    }
    running++;
    runningBytes += bytes;
    const ended = (): void => {
      running--;
      runningBytes -= bytes;
    };
    answer.then(
      ({ type, partial }) => {
        ended();
        const elapsedUs = microsSince(received);
        observer.onForward(request.layer, request.rowCount, elapsedUs / 1000);
        answers.answer({
          dispatchId: request.dispatchId,
          epoch: options.shards.epoch(),
          elapsedUs,
          dtype: partialTypes[type].dtype,
          rowCount: request.rowCount,
          partial: asBuffer(partial),
        });
      },
      (error: unknown) => {
        ended();
        refuse(error);
      },
    );
  });
  // Shows the other side that the stream is accepted, before the first answer.
  stream.sendMetadata(session === null ? new Metadata() : sessionMetadata(session));
}

/** Partial sums of a request's rows. Throws a Refusal at once when the request makes no sense or asks for what is not here. */
function compute(request: ForwardRequest, shards: HostedShards): Promise<EncodedTotals> {
  const narrow = request.operator === 'OPERATOR_FFN' && request.topK > 0 && !request.dense;
  const rows = expertRows(request, narrow ? shards.expertWidth(request.layer) : shards.hidden);
  if (rows.rowCount === 0) return Promise.resolve({ type: 'i24', partial: new Uint8Array(0) }); // A probe.
  if (request.operator === 'OPERATOR_ATTENTION') return attention(request, rows, shards);
  if (request.operator !== 'OPERATOR_FFN') {
    throw new Refusal('INVALID_ARGUMENT', `operator: expected attention or ffn, got ${request.operator}`);
  }
  if (request.dense) return dense(request.pipeline, rows, shards);
  if (request.topK > 0) return shards.bank.forward(rows);
  throw new Refusal('INVALID_ARGUMENT', 'top_k, dense: expected experts, a dense slice or both');
}

function expertRows(request: ForwardRequest, hidden: number): ExpertRows {
  const { layer, rowCount, rows, topK } = request;
  const type = activationType('dtype', request.dtype);
  checkLength('rows', rows, rowCount * hidden * (type === 'f32' ? 4 : 2));
  checkLength('grid', request.grid, rowCount * 4);
  checkLength('topk_ids', request.topkIds, rowCount * topK * 4);
  checkLength('topk_weights', request.topkWeights, rowCount * topK * 4);
  const topkIds = toInt32(request.topkIds);
  const topkWeights = toFloat32(request.topkWeights);
  return { layer, rowCount, type, rows, grid: toInt32(request.grid), topK, topkIds, topkWeights };
}

function dense(pipeline: string, rows: ExpertRows, shards: HostedShards): Promise<EncodedTotals> {
  const rank = shards.denseRank(pipeline, rows.layer);
  if (rank === undefined) {
    const problem = `no dense slice of layer ${rows.layer} of pipeline "${pipeline}" is loaded here`;
    throw new Refusal('SLOT_NOT_LOADED', problem);
  }
  return rank.ffn(rows, rows.topK > 0 ? shards.bank : null);
}

function attention(request: ForwardRequest, rows: ExpertRows, shards: HostedShards): Promise<EncodedTotals> {
  const where = request.attention;
  if (where === null)
    throw new Refusal('INVALID_ARGUMENT', 'attention: expected positions and cache blocks, got nothing');
  const rank = shards.rank(request.pipeline, where);
  if (rank === undefined)
    throw new Refusal('SLOT_NOT_LOADED', `no rank of pipeline "${request.pipeline}" is loaded here`);
  return rank.attention(rows, {
    positions: toInt32(where.positions),
    sequenceOffsets: toInt32(where.sequenceOffsets),
    blockTables: toInt32(where.blockTables),
    blockOffsets: toInt32(where.blockOffsets),
    stateSlots: toInt32(where.stateSlots),
  });
}

function activationType(field: string, dtype: string): ActivationType {
  if (dtype === 'DATA_TYPE_BF16') return 'bf16';
  if (dtype === 'DATA_TYPE_F32') return 'f32';
  throw new Refusal('INVALID_ARGUMENT', `${field}: expected BF16 or F32, got ${dtype}`);
}

function checkLength(field: string, bytes: Uint8Array, expected: number): void {
  if (bytes.byteLength === expected) return;
  throw new Refusal('INVALID_ARGUMENT', `${field}: expected ${expected} bytes, got ${bytes.byteLength}`);
}

/** Checks that bytes are 4-byte elements and makes them start at a multiple of 4, as typed arrays need; small arrays only. */
function aligned(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength % 4 !== 0) {
    throw new Refusal('INVALID_ARGUMENT', `expected an array of 4-byte elements, got ${bytes.byteLength} bytes`);
  }
  if (bytes.byteOffset % 4 === 0) return bytes;
  const copy = Buffer.allocUnsafe(bytes.byteLength); // From a pool whose pieces start at multiples of 8.
  copy.set(bytes);
  return copy;
}

function toInt32(bytes: Uint8Array): Int32Array {
  const { buffer, byteOffset, byteLength } = aligned(bytes);
  return new Int32Array(buffer, byteOffset, byteLength / 4);
}

function toFloat32(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = aligned(bytes);
  return new Float32Array(buffer, byteOffset, byteLength / 4);
}

function microsSince(start: number): number {
  return Math.round((performance.now() - start) * 1000);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function describe(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: 'INTERNAL', message: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'INTERNAL';
  return { code, message: error.message };
}
