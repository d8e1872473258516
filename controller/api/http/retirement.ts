/**
 * How an HTTP server sends its clients elsewhere before it ends, without failing one of them. From the beginning on, every answer
 * says that its connection ends with it, and a client that opens another one is dealt to another server. A connection on which
 * an answer was under way then does not know yet: it may bring one more request, and learns it by that answer.
 */
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

export interface Retirement {
  begin(): void;
  /** Ends connections that nothing is asked on. Settles when all others know it and are gone, or when it is late. */
  finish(late: AbortSignal): Promise<void>;
}

/** How long a connection that does not know it yet may be silent before it is ended. */
const silenceMs = 1_000;

/** Adds its hooks; nothing changes until it begins. */
export function addRetirement(app: FastifyInstance): Retirement {
  const open = new Set<Socket>();
  const asked = new Set<Socket>();
  let begun = false;
  let settle: (() => void) | null = null;
  const onClose = (socket: Socket): void => {
    open.delete(socket);
    asked.delete(socket);
    if (open.size === 0) settle?.();
  };
  app.addHook('onRequest', async ({ raw: { socket } }, reply) => {
    // On the raw response, so that streams carry it too.
    if (begun) reply.raw.setHeader('connection', 'close');
    if (!open.has(socket)) socket.once('close', () => onClose(socket));
    open.add(socket);
    asked.add(socket);
  });
  app.addHook('onResponse', async ({ raw: { socket } }) => {
    asked.delete(socket);
    if (settle !== null) endWhenSilent(socket);
  });
  const endWhenSilent = (socket: Socket): void => {
    setTimeout(() => asked.has(socket) || socket.end(), silenceMs).unref();
  };
  return {
    begin() {
      begun = true;
    },
    finish(late) {
      return new Promise((resolve) => {
        settle = resolve;
        // Not at once: the next request may be on its way.
        for (const socket of open) if (!asked.has(socket)) endWhenSilent(socket);
        late.addEventListener('abort', () => resolve());
        if (open.size === 0) resolve();
      });
    },
  };
}
