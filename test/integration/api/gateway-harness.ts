import { join } from 'node:path';
import OpenAI from 'openai';
import pino from 'pino';
import { createGateway, type Gateway, type GatewayOptions } from '../../../controller/api/gateway.ts';
import { singlePipeline } from '../../../controller/gateway/router.ts';
import { loadTextModel, type TextModel } from '../../../controller/text/text-model.ts';
import { packageRoot } from '../../../proto/messages.ts';
import { type FakeOptions, FakePipeline } from '../../unit/controller/gateway/fake-pipeline.ts';

export const clerkDirectory = join(packageRoot, 'models', 'clerk');
export const maxModelLen = 512;
export const vocabSize = 264;
/** `<|im_end|>` and `<|endoftext|>`. */
export const eosTokenIds = [258, 256];

export interface Harness {
  readonly url: string;
  readonly grpcAddress: string;
  readonly pipeline: FakePipeline;
  readonly text: TextModel;
  readonly gateway: Gateway;
  readonly openai: OpenAI;
  close(): Promise<void>;
}

/** A real gateway on real sockets with the demo model's tokenizer, unless another is given, before a pipeline that makes tokens up. */
export async function startHarness(
  fake: Partial<FakeOptions> & { readonly answer?: string } = {},
  options: Partial<GatewayOptions> = {},
  prepare: (app: Gateway['app']) => void = () => {},
): Promise<Harness> {
  const text = options.text ?? (await loadTextModel(clerkDirectory));
  const ids = await text.encode(fake.answer ?? 'Hello, wörld! 日本 👋🏽 ', false, maxModelLen);
  const pipeline = new FakePipeline({
    token: (_request, _index, position) => ids[position % ids.length]!,
    eosTokenIds,
    maxModelLen,
    ...fake,
  });
  const gateway = createGateway({
    model: {
      names: ['clerk', 'org/clerk'],
      maxModelLen,
      vocabSize,
      eosTokenIds,
      parameters: 5_100_000,
      activeParameters: 1_200_000,
      digest: 'deadbeefdeadbeef',
      created: 1_700_000_000,
    },
    text,
    router: singlePipeline(pipeline),
    http: { host: '127.0.0.1', port: 0 },
    grpc: { host: '127.0.0.1', port: 0 },
    logger: pino({ level: 'silent' }),
    processMetrics: false,
    ...options,
  });
  prepare(gateway.app);
  const { httpPort, grpcPort } = await gateway.start();
  const url = `http://127.0.0.1:${httpPort}`;
  return {
    url,
    grpcAddress: `127.0.0.1:${grpcPort}`,
    pipeline,
    text,
    gateway,
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }),
    close: () => gateway.close(1_000),
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** JSON; expectations say what it should be. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

/** Sends JSON and reads JSON. */
export async function post(
  harness: Harness,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(harness.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) };
}

/** The data of a stream's events, in order, "[DONE]" included. */
export async function readEvents(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''));
}
