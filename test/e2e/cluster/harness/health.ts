import { Client, credentials, Metadata } from '@grpc/grpc-js';

const states = ['UNKNOWN', 'SERVING', 'NOT_SERVING'] as const;

/** What grpc.health.v1 says of a server as a whole. Its answer is one enum, field 1. */
export function healthOf(address: string): Promise<(typeof states)[number]> {
  const client = new Client(address, credentials.createInsecure());
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      (request: Buffer) => request,
      (answer: Buffer) => states[answer[1] ?? 0] ?? 'UNKNOWN',
      Buffer.alloc(0),
      new Metadata(),
      { deadline: Date.now() + 10_000 },
      (error, state) => {
        client.close();
        if (error === null) resolve(state ?? 'UNKNOWN');
        else reject(error);
      },
    );
  });
}
