import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { findTlsFailure } from '../../../platform/bus/nats-tls.ts';

describe('the look at what is wrong with TLS towards NATS', () => {
  it.each([
    { kind: 'says nothing', greet: () => undefined },
    { kind: 'hangs up at once', greet: (socket: Socket) => void socket.end() },
  ])('ends, and finds nothing, where the server $kind', async ({ greet }) => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      greet(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect(await findTlsFailure({ servers: [`tls://127.0.0.1:${port}`], tls: {} })).toBeNull();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
});
