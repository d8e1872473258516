/** Finds out why a TLS connection fails: libraries on top of it often say only that it did. */
import { type ConnectionOptions, connect } from 'node:tls';

/** The other side ended the connection after the handshake, without a word. */
export class ClosedAfterHandshakeError extends Error {
  readonly code = 'CLOSED_AFTER_HANDSHAKE';

  constructor() {
    super('the connection was closed after the handshake');
  }
}

/**
 * Connects, sends `hello` and waits for any answer: only then has a server of TLS 1.3 judged its client's certificate.
 * Resolves with whether one came in time, or with what went wrong.
 */
export function probeTls(
  options: ConnectionOptions,
  hello: Uint8Array | string,
  timeoutMs: number,
): Promise<Error | 'answered' | 'silent'> {
  return new Promise((resolve) => {
    const socket = connect(options);
    const timer = setTimeout(() => end('silent'), timeoutMs);
    const end = (result: Error | 'answered' | 'silent'): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    socket.once('secureConnect', () => socket.write(hello));
    socket.once('data', () => end('answered'));
    socket.on('error', end);
    socket.once('close', () => end(new ClosedAfterHandshakeError()));
  });
}
