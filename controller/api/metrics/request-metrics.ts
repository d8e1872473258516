import type { Instruments } from '../../../platform/metrics/instruments.ts';
import { openaiCodes } from '../../errors.ts';
import type { RequestObserver } from '../../gateway/observer.ts';
import { longBuckets, shortBuckets, tokenBuckets } from './buckets.ts';

export function createRequestMetrics(make: Instruments): RequestObserver {
  return { ...tokenMetrics(make), ...outcomeMetrics(make) };
}

type TokenObserver = Pick<RequestObserver, 'onStarted' | 'onFirstToken' | 'onTokens'>;

/** How many tokens go in and come out, and how soon. */
function tokenMetrics(make: Instruments): TokenObserver {
  const promptTokens = make.counter('prompt_tokens_total', 'Prompt tokens processed.');
  const cachedTokens = make.counter('prompt_tokens_cached_total', 'Prompt tokens whose cache was reused.');
  const generationTokens = make.counter('generation_tokens_total', 'Tokens generated.');
  const promptSize = make.histogram('request_prompt_tokens', 'Prompt tokens per request.', tokenBuckets);
  const firstToken = make.histogram('time_to_first_token_seconds', 'Arrival to first token.', longBuckets);
  const interToken = make.histogram('inter_token_latency_seconds', 'Time between tokens of a sequence.', shortBuckets);
  const queueTime = make.histogram('request_queue_time_seconds', 'Arrival to first step.', longBuckets);
  const prefillTime = make.histogram('request_prefill_time_seconds', 'First step to first token.', longBuckets);
  return {
    onStarted(queueMs, tokens, cached) {
      promptSize.observe(tokens);
      promptTokens.inc(tokens);
      cachedTokens.inc(cached);
      queueTime.observe(queueMs / 1000);
    },
    onFirstToken(sinceArrivalMs, queueMs) {
      firstToken.observe(sinceArrivalMs / 1000);
      prefillTime.observe(Math.max(0, sinceArrivalMs - queueMs) / 1000);
    },
    onTokens(count, gapMs) {
      generationTokens.inc(count);
      if (gapMs !== null) interToken.observe(gapMs / 1000 / count);
    },
  };
}

/** How sequences and requests end, and what they survive. */
function outcomeMetrics(make: Instruments): Omit<RequestObserver, keyof TokenObserver> {
  const successes = make.counter('request_success_total', 'Sequences that ended, by reason.', ['finished_reason']);
  const failures = make.counter('request_failure_total', 'Requests that ended with an error, by code.', ['code']);
  const retries = make.counter(
    'request_retries_total',
    'Times that a request was tried again after its pipeline failed it.',
  );
  const resumes = make.counter(
    'request_resumes_total',
    'Times that a request that had begun went on after a lost pipeline.',
  );
  const outputSize = make.histogram('request_generation_tokens', 'Tokens generated per sequence.', tokenBuckets);
  const endToEnd = make.histogram('e2e_request_latency_seconds', 'Arrival to last token.', longBuckets);
  const decodeTime = make.histogram('request_decode_time_seconds', 'First token to last token.', longBuckets);
  for (const finished_reason of ['stop', 'length']) successes.inc({ finished_reason }, 0);
  for (const code of openaiCodes) failures.inc({ code }, 0);
  return {
    onSequenceEnded(finish, outputTokens) {
      successes.inc({ finished_reason: finish.reason });
      outputSize.observe(outputTokens);
    },
    onFinished(sinceArrivalMs, decodeMs) {
      endToEnd.observe(sinceArrivalMs / 1000);
      decodeTime.observe(decodeMs / 1000);
    },
    onFailed: (code) => failures.inc({ code }),
    onRetried: () => retries.inc(),
    onResumed: () => resumes.inc(),
  };
}
