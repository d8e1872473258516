/**
 * Bounds the memory that request bodies take together, from the first byte until the answer is over.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../../errors.ts';

export class BodyBudget {
  readonly #maxBytes: number;
  readonly #maxBodyBytes: number;
  #taken = 0;

  /** `maxBodyBytes` is what a body counts for whose length is not announced. */
  constructor(maxBytes: number, maxBodyBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** Takes a request's share; it is given back when its answer is over. Fails with OVERLOADED. */
  take(request: FastifyRequest, reply: FastifyReply): void {
    const bytes = bodyBytes(request, this.#maxBodyBytes);
    if (bytes === 0) return;
    if (this.#taken + bytes > this.#maxBytes) {
      throw new ServiceError('OVERLOADED', 'request bodies take all the memory that is meant for them');
    }
    this.#taken += bytes;
    reply.raw.once('close', () => {
      this.#taken -= bytes;
    });
  }
}

function bodyBytes({ headers }: FastifyRequest, unknown: number): number {
  if (headers['transfer-encoding'] !== undefined) return unknown;
  return Math.min(Number(headers['content-length'] ?? 0), unknown);
}
