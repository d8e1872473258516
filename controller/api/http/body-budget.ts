/**
 * Bounds the memory that request bodies take together, from the first byte until the answer is over.
 */
import { Transform } from 'node:stream';
import type { FastifyReply, FastifyRequest, RequestPayload } from 'fastify';
import { ServiceError } from '../../errors.ts';

export class BodyBudget {
  readonly #maxBytes: number;
  #taken = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes a request's share; it is given back when its answer is over. A body whose length is announced is taken whole, and
   * one that comes in chunks as it comes: the stream that is returned is to be read in its place. Fails with OVERLOADED.
   */
  take({ headers }: FastifyRequest, reply: FastifyReply, payload: RequestPayload): RequestPayload {
    let own = 0;
    const more = (bytes: number): void => {
      if (this.#taken + bytes > this.#maxBytes) {
        throw new ServiceError('OVERLOADED', 'request bodies take all the memory that is meant for them');
      }
      own += bytes;
      this.#taken += bytes;
    };
    reply.raw.once('close', () => {
      this.#taken -= own;
    });
    if (headers['transfer-encoding'] === undefined) {
      more(Number(headers['content-length'] ?? 0));
      return payload;
    }
    return counted(payload, more);
  }
}

function counted(payload: RequestPayload, more: (bytes: number) => void): RequestPayload {
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        more(chunk.length);
        done(null, chunk);
      } catch (error) {
        done(error as Error);
      }
    },
  });
  payload.once('error', (error) => counter.destroy(error));
  return payload.pipe(counter);
}
