import { type JetStreamClient, NatsError, StorageType } from 'nats';
import { describe, expect, it } from 'vitest';
import { NatsBucket } from '../../../../platform/bus/nats-bucket.ts';

/** A bucket at a server that knows it after so many questions, and is asked again at once. */
function bucketAt(unknownFor: number) {
  let asked = 0;
  const status = async () => {
    if (asked++ >= unknownFor) return { streamInfo: { created: '2026-01-01T00:00:00Z' } };
    const error = new NatsError('stream not found', '404');
    error.api_error = { code: 404, err_code: 10_059, description: 'stream not found' };
    throw error;
  };
  const client = { views: { kv: async () => ({ status }) } } as unknown as JetStreamClient;
  const bucket = new NatsBucket({
    ...{ id: 'reports', ttlMs: 0, graceMs: 0, storage: StorageType.File, replicas: 3, random: () => 0.5 },
    clock: { now: () => 0, after: (_, callback) => (queueMicrotask(callback), () => {}) },
    onError: () => {},
    client: () => client,
    withDeadline: (_, call) => call(),
  });
  return { made: () => bucket.ensure(client), asked: () => asked };
}

describe('a bucket that another server has just made', () => {
  it('is asked for until this one knows it', async () => {
    const { made, asked } = bucketAt(3);
    expect(await made()).toBe(false);
    expect(asked()).toBe(4);
  });

  it('is given up when it does not come', async () => {
    const { made, asked } = bucketAt(Number.POSITIVE_INFINITY);
    await expect(made()).rejects.toThrow('stream not found');
    expect(asked()).toBe(20);
  });
});
