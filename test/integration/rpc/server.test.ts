import { once } from 'node:events';
import { credentials, Metadata, type ServerDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { createGrpcServer } from '../../../platform/rpc/server.ts';
import { conclave } from '../../../proto/messages.ts';

// Without it, a minute passes before the other side's keep-alive ends them.
it('ends the calls that run on when a closing server has given them their time', async () => {
  const server = createGrpcServer({ host: '127.0.0.1', port: 0, tls: null });
  const hold = (stream: ServerDuplexStream<unknown, unknown>): void => stream.sendMetadata(new Metadata());
  server.addService('conclave.v1.StageService', conclave.StageService.service, { Step: hold });
  const port = await server.start();
  const client = new conclave.StageService(`127.0.0.1:${port}`, credentials.createInsecure());
  const stream = client.Step().resume();
  const error = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
  await once(stream, 'metadata');
  await server.close(10);
  expect((await error).code).toBeGreaterThan(0);
  client.close();
}, 20_000);
