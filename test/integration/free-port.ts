import { once } from 'node:events';
import { createServer } from 'node:net';

/** Systems take the ports of connections that go out from 32768 up: none of those gets one before its process listens there. */
const [first, end] = [20_000, 30_000];
let next = first + Math.floor(Math.random() * (end - first));

/** A port of this machine that nobody listens on now; another one at each call. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let tries = first; tries < end; tries++) {
    const port = next;
    next = port + 1 < end ? port + 1 : first;
    if (await isFree(host, port)) return port;
  }
  throw new Error(`no port from ${first} to ${end - 1} of ${host} is free`);
}

async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer().listen(port, host);
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await once(server.close(), 'close');
  return true;
}
