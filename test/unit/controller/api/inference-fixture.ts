import { join } from 'node:path';
import { Inference, type InferenceOptions } from '../../../../controller/gateway/inference.ts';
import type { RequestObserver } from '../../../../controller/gateway/observer.ts';
import { singlePipeline } from '../../../../controller/gateway/router.ts';
import { loadTextModel } from '../../../../controller/text/text-model.ts';
import { packageRoot } from '../../../../proto/messages.ts';
import { type FakeOptions, FakePipeline } from '../gateway/fake-pipeline.ts';

export const silentObserver: RequestObserver = {
  onStarted() {},
  onFirstToken() {},
  onTokens() {},
  onSequenceEnded() {},
  onFinished() {},
  onFailed() {},
  onRetried() {},
  onResumed() {},
};

/** Made once: its process for chat templates takes a while to start. */
const text = loadTextModel(join(packageRoot, 'models', 'clerk'));

/** The demo model's text side before a made-up pipeline; its context holds 64 tokens. */
export async function createInference(
  fake: Partial<FakeOptions> = {},
  options: Partial<InferenceOptions> = {},
): Promise<{ readonly inference: Inference; readonly pipeline: FakePipeline }> {
  const pipeline = new FakePipeline({
    token: (_request, _index, position) => position + 33,
    eosTokenIds: [258],
    ...fake,
  });
  const inference = new Inference({
    model: {
      names: ['clerk'],
      maxModelLen: 64,
      vocabSize: 264,
      eosTokenIds: [258],
      parameters: 1,
      activeParameters: 1,
      digest: '0123456789abcdef',
      created: 0,
    },
    text: await text,
    router: singlePipeline(pipeline),
    observer: silentObserver,
    maxRequests: 8,
    requestTimeoutMs: null,
    defaultSeed: null,
    obstacles: () => [],
    patient: () => false,
    notices: () => [],
    maxLostMs: 1_000,
    onLost: () => {},
    now: () => 0,
    ...options,
  });
  return { inference, pipeline };
}

export const head = { id: 'id', created: 0, model: 'clerk', system_fingerprint: 'fp' };
