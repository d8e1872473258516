import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type ChannelCredentials,
  type Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import * as health from 'grpc-health-check';
import { afterEach, describe, expect, it } from 'vitest';
import { createApiKeys } from '../../../platform/rpc/api-keys.ts';
import type { GenerateRequest } from '../../../proto/generated/conclave/v1/GenerateRequest.ts';
import type { GenerateResponse__Output as GenerateResponse } from '../../../proto/generated/conclave/v1/GenerateResponse.ts';
import type { InferenceServiceClient } from '../../../proto/generated/conclave/v1/InferenceService.ts';
import { conclave } from '../../../proto/messages.ts';
import { codedError } from '../../unit/controller/gateway/fake-pipeline.ts';
import { type Harness, startHarness } from './gateway-harness.ts';

const answer = 'Hé! 日 ';
let harness: Harness;
let client: InferenceServiceClient;

async function start(...args: Parameters<typeof startHarness>): Promise<void> {
  harness = await startHarness({ answer, ...args[0] }, args[1]);
  client = new conclave.InferenceService(harness.grpcAddress, credentials.createInsecure());
}
afterEach(async () => {
  client.close();
  await harness.close();
});

async function generate(
  request: GenerateRequest,
  metadata = new Metadata(),
  deadline?: number,
): Promise<GenerateResponse[]> {
  const responses: GenerateResponse[] = [];
  const call = client.generate(request, metadata, deadline === undefined ? {} : { deadline });
  for await (const response of call) responses.push(response as GenerateResponse);
  return responses;
}

function failure(run: Promise<unknown>): Promise<ServiceError> {
  return run.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => error as ServiceError,
  );
}

describe('InferenceService', () => {
  it('streams text in whole characters, with usage at the end', async () => {
    await start();
    const responses = await generate({ text: 'Say', limits: { maxTokens: 9 }, n: 2 });
    for (const index of [0, 1]) {
      const own = responses.filter((response) => response.index === index);
      expect(own.map(({ text }) => text).join('')).toBe(answer);
      expect(own.flatMap(({ tokenIds }) => tokenIds)).toHaveLength(9);
      expect(own.at(-1)?.finishReason).toBe('FINISH_REASON_LENGTH');
    }
    expect(responses.at(-1)?.usage).toEqual({ promptTokens: 3, completionTokens: 18, cachedTokens: 3 });
    expect(responses.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  });

  it('takes token ids and chat messages, and returns log-probabilities', async () => {
    await start();
    const limits = { maxTokens: 2, logprobs: 1, promptLogprobs: 1 };
    const [first] = await generate({ tokenIds: { ids: [33, 34] }, limits });
    expect(first?.promptLogprobs).toEqual([
      { logprob: 0, topTokenIds: [], topLogprobs: [] },
      expect.objectContaining({ tokenId: 34, logprob: -1.25, topTokenIds: [34] }),
    ]);
    expect(first?.logprobs).toEqual([expect.objectContaining({ tokenId: 39, logprob: -0.25 })]);
    await generate({ chat: { messages: [{ role: 'user', content: 'Hi' }] }, limits: { maxTokens: 1 } });
    expect(harness.pipeline.requests.at(-1)?.promptTokenIds).toHaveLength(21);
  });

  it('ends at stop texts', async () => {
    await start();
    const responses = await generate({ text: 'Say', limits: { maxTokens: 10, stop: ['! 日'] } });
    expect(responses.map(({ text }) => text).join('')).toBe('Hé');
    expect(responses.at(-1)?.finishReason).toBe('FINISH_REASON_STOP');
  });

  it('takes and returns request ids', async () => {
    await start();
    const metadata = new Metadata();
    metadata.set('x-request-id', 'mine');
    const call = client.generate({ text: 'Say', limits: { maxTokens: 1 } }, metadata);
    const [received] = (await once(call, 'metadata')) as [Metadata];
    call.resume();
    await once(call, 'end');
    expect(received.get('x-request-id')).toEqual(['mine']);
    expect(harness.pipeline.requests[0]?.requestId).toMatch(/^mine-/);
  });

  it('passes seeds on to the last digit', async () => {
    await start();
    const seeds = ['0', '9007199254740992', '9007199254740993', '9223372036854775807', '18446744073709551615'];
    for (const seed of seeds) await generate({ text: 'Say', sampling: { seed }, limits: { maxTokens: 1 } });
    expect(harness.pipeline.requests.map(({ sampling }) => sampling?.seed)).toEqual(seeds);
  });

  it('tokenises and describes the model', async () => {
    await start();
    const tokenized = await new Promise((resolve, reject) => {
      client.tokenize({ text: 'Hi' }, (error, value) => (error === null ? resolve(value) : reject(error)));
    });
    expect(tokenized).toEqual({ tokenIds: [39, 72], maxModelLen: 512 });
    const model = await new Promise((resolve, reject) => {
      client.getModel({}, (error, value) => (error === null ? resolve(value) : reject(error)));
    });
    expect(model).toMatchObject({ name: 'clerk', vocabSize: 264, parameters: '5100000', digest: 'deadbeefdeadbeef' });
  });

  const wrong: readonly (readonly [string, GenerateRequest, status, string | undefined])[] = [
    ['another model', { model: 'x', text: 'a' }, status.NOT_FOUND, 'model'],
    ['no prompt', {}, status.INVALID_ARGUMENT, 'prompt'],
    ['an empty prompt', { text: '' }, status.INVALID_ARGUMENT, 'text'],
    ['a token that does not exist', { tokenIds: { ids: [1, 264] } }, status.INVALID_ARGUMENT, 'token_ids.ids[1]'],
    ['no messages', { chat: { messages: [] } }, status.INVALID_ARGUMENT, 'chat.messages'],
    [
      'a message without role',
      { chat: { messages: [{ content: 'a' }] } },
      status.INVALID_ARGUMENT,
      'chat.messages[0].role',
    ],
    ['a wrong top_p', { text: 'a', sampling: { topP: 2 } }, status.INVALID_ARGUMENT, 'sampling.top_p'],
    ['NaN', { text: 'a', sampling: { temperature: Number.NaN } }, status.INVALID_ARGUMENT, 'sampling.temperature'],
    [
      'a wrong bias',
      { text: 'a', sampling: { logitBias: { 264: 1 } } },
      status.INVALID_ARGUMENT,
      'sampling.logit_bias',
    ],
    ['too many tokens', { text: 'a', limits: { maxTokens: 512 } }, status.INVALID_ARGUMENT, 'limits.max_tokens'],
    ['too many sequences', { text: 'a', n: 129 }, status.INVALID_ARGUMENT, 'n'],
    ['too many log-probabilities', { text: 'a', limits: { logprobs: 21 } }, status.INVALID_ARGUMENT, 'limits.logprobs'],
    [
      'too many stop tokens',
      { text: 'a', limits: { stopTokenIds: Array.from({ length: 1025 }, () => 1) } },
      status.INVALID_ARGUMENT,
      'limits.stop_token_ids',
    ],
    ['an empty stop text', { text: 'a', limits: { stop: [''] } }, status.INVALID_ARGUMENT, 'limits.stop[0]'],
  ];
  it('refuses what is wrong, and names the field', async () => {
    await start();
    for (const [what, request, code, field] of wrong) {
      const error = await failure(generate(request));
      expect([what, error.code, error.metadata.get('conclave-error-field')[0]]).toEqual([what, code, field]);
    }
  });

  it.each([
    ['OVERLOADED', status.RESOURCE_EXHAUSTED, '1'],
    ['INVALID_ARGUMENT', status.INVALID_ARGUMENT, undefined],
    ['NON_FINITE', status.INTERNAL, undefined],
  ])('answers a pipeline’s %s', async (code, expected, retryAfter) => {
    const before = () => {
      throw codedError(code, 'why');
    };
    await start({ before });
    const error = await failure(generate({ text: 'a' }));
    expect(error.code).toBe(expected);
    expect(error.metadata.get('retry-after')[0]).toBe(retryAfter);
  });

  it('ends with its client’s deadline, and frees the pipeline', async () => {
    await start({
      before: (_request, _index, _position, signal) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
    });
    const error = await failure(generate({ text: 'a' }, new Metadata(), Date.now() + 100));
    expect(error.code).toBe(status.DEADLINE_EXCEEDED);
    await expect.poll(() => harness.pipeline.open).toBe(0);
  });

  it('frees the pipeline when its client cancels', async () => {
    await start({ before: () => nextTurn() });
    const call = client.generate({ text: 'a', limits: { ignoreEos: true } });
    call.once('data', () => call.cancel());
    const error = await failure(new Promise((_resolve, reject) => call.on('error', reject)));
    expect(error.code).toBe(status.CANCELLED);
    await expect.poll(() => harness.pipeline.open).toBe(0);
    expect(harness.pipeline.abandoned).toBe(1);
  });

  it('refuses messages that are too large', async () => {
    await start({}, { limits: { maxBodyBytes: 10_000 } });
    expect((await failure(generate({ text: 'x'.repeat(20_000) }))).code).toBe(status.RESOURCE_EXHAUSTED);
  });

  it('is unavailable while requests cannot be answered', async () => {
    await start({}, { obstacles: () => ['the model is loading'] });
    const error = await failure(generate({ text: 'a' }));
    expect([error.code, error.details]).toEqual([status.UNAVAILABLE, 'the model is loading']);
  });
});

interface HealthClient extends Client {
  check(request: { service: string }, callback: (error: Error | null, value: { status: number }) => void): void;
}

/** A client of a service that the package has no types for. */
function connectTo(protoFile: string, includeDir: string, service: string): Client {
  const loaded = loadPackageDefinition(loadSync(protoFile, { includeDirs: [includeDir] }));
  const constructor = service
    .split('.')
    .reduce<unknown>((node, name) => (node as Record<string, unknown>)[name], loaded);
  const Constructor = constructor as new (address: string, channel: ChannelCredentials) => Client;
  return new Constructor(harness.grpcAddress, credentials.createInsecure());
}

function check(service: string): Promise<number> {
  const probe = connectTo(health.protoPath, '/', 'grpc.health.v1.Health') as HealthClient;
  return new Promise<number>((resolve, reject) => {
    probe.check({ service }, (error, value) => {
      probe.close();
      if (error === null) resolve(value.status);
      else reject(error);
    });
  });
}

describe('every gRPC port', () => {
  const serving = 1;
  const notServing = 2;

  it('answers health checks, as readiness changes', async () => {
    let obstacles: string[] = [];
    await start({}, { obstacles: () => obstacles });
    expect(await check('')).toBe(serving);
    expect(await check('conclave.v1.InferenceService')).toBe(serving);
    obstacles = ['lost'];
    await expect.poll(() => check('conclave.v1.InferenceService')).toBe(notServing);
  });

  it('asks for an API key but for health checks', async () => {
    await start({}, { apiKeys: createApiKeys(['secret']) });
    expect(await check('')).toBe(serving);
    expect((await failure(generate({ text: 'a' }))).code).toBe(status.UNAUTHENTICATED);
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer secret');
    expect(await generate({ text: 'a', limits: { maxTokens: 1 } }, metadata)).toHaveLength(1);
  });
});
