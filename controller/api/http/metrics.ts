/**
 * Prometheus metrics of the gateway and of the engine it serves, in the names that vLLM's dashboards know. Label values
 * come from fixed sets, so the number of series is bounded.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { collectProcessMetrics } from '../../../proto/process-metrics.ts';
import { openaiCodes } from '../../errors.ts';
import type { RequestObserver } from '../../gateway/observer.ts';

/** What the engine holds at this moment; the engine's own snapshot has these members. */
export interface EngineSnapshot {
  /** Sequences that hold cache blocks. */
  readonly running: number;
  /** Sequences that wait. */
  readonly waiting: number;
  /** Part of the cache that sequences hold, 0 to 1. */
  readonly kvUsage: number;
  /** Since the start. */
  readonly prefixQueriedTokens: number;
  readonly prefixHitTokens: number;
  readonly preemptions: number;
}

export interface MetricsOptions {
  /** Null where no engine runs in this process. */
  readonly engine: (() => EngineSnapshot) | null;
  /** Whether to report the process's own memory, CPU time and event loop. */
  readonly processMetrics: boolean;
}

export interface Metrics extends RequestObserver {
  readonly contentType: string;
  render(): Promise<string>;
  /** A route is there: its series begin with 0. */
  onHttpRoute(method: string, route: string): void;
  /** An HTTP request was answered. `route` is the route's pattern, never a path that a client made up. */
  onHttpResponse(method: string, route: string, status: number, milliseconds: number): void;
  /** Reports how many requests the gateway answers now. */
  addRunningRequests(running: () => number): void;
  /** Where other parts register metrics of their own. */
  readonly registry: Registry;
}

const prefix = 'conclave_';
/** Seconds. */
const shortBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10];
const longBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640];
const tokenBuckets = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144];

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  if (options.processMetrics) collectProcessMetrics(registry);
  if (options.engine !== null) addEngineMetrics(registry, options.engine);
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: prefix + name, help, labelNames, registers: [registry] });
  const histogram = (name: string, help: string, buckets: number[], labelNames: string[] = []) =>
    new Histogram({ name: prefix + name, help, buckets, labelNames, registers: [registry] });

  const promptTokens = counter('prompt_tokens_total', 'Prompt tokens processed.');
  const cachedTokens = counter('prompt_tokens_cached_total', 'Prompt tokens whose cache was reused.');
  const generationTokens = counter('generation_tokens_total', 'Tokens generated.');
  const successes = counter('request_success_total', 'Sequences that ended, by reason.', ['finished_reason']);
  const failures = counter('request_failure_total', 'Requests that ended with an error, by code.', ['code']);
  const retries = counter(
    'request_retries_total',
    'Times that a request was tried again after its pipeline failed it.',
  );
  const resumes = counter(
    'request_resumes_total',
    'Times that a request that had begun went on after a lost pipeline.',
  );
  for (const finished_reason of ['stop', 'length']) successes.inc({ finished_reason }, 0);
  for (const code of openaiCodes) failures.inc({ code }, 0);
  const promptSize = histogram('request_prompt_tokens', 'Prompt tokens per request.', tokenBuckets);
  const outputSize = histogram('request_generation_tokens', 'Tokens generated per sequence.', tokenBuckets);
  const firstToken = histogram('time_to_first_token_seconds', 'Arrival to first token.', longBuckets);
  const interToken = histogram('inter_token_latency_seconds', 'Time between tokens of a sequence.', shortBuckets);
  const endToEnd = histogram('e2e_request_latency_seconds', 'Arrival to last token.', longBuckets);
  const queueTime = histogram('request_queue_time_seconds', 'Arrival to first step.', longBuckets);
  const prefillTime = histogram('request_prefill_time_seconds', 'First step to first token.', longBuckets);
  const decodeTime = histogram('request_decode_time_seconds', 'First token to last token.', longBuckets);
  const httpRequests = counter('http_requests_total', 'HTTP requests answered.', ['method', 'route', 'status']);
  const httpTime = histogram('http_request_duration_seconds', 'Time to answer HTTP requests.', longBuckets, ['route']);

  return {
    registry,
    contentType: registry.contentType,
    render: () => registry.metrics(),
    addRunningRequests(running) {
      gauge(registry, 'gateway_requests_running', 'Requests that the gateway is answering.', running);
    },
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
    onSequenceEnded(finish, outputTokens) {
      successes.inc({ finished_reason: finish.reason });
      outputSize.observe(outputTokens);
    },
    onFinished(sinceArrivalMs, decodeMs) {
      endToEnd.observe(sinceArrivalMs / 1000);
      decodeTime.observe(decodeMs / 1000);
    },
    onFailed(code) {
      failures.inc({ code });
    },
    onRetried() {
      retries.inc();
    },
    onResumed() {
      resumes.inc();
    },
    onHttpRoute(method, route) {
      httpRequests.inc({ method, route, status: '200' }, 0);
      httpTime.zero({ route });
    },
    onHttpResponse(method, route, status, milliseconds) {
      httpRequests.inc({ method, route, status: String(status) });
      httpTime.observe({ route }, milliseconds / 1000);
    },
  };
}

/** Read when scraped. */
function addEngineMetrics(registry: Registry, engine: () => EngineSnapshot): void {
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name: prefix + name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  gauge(registry, 'num_requests_running', 'Sequences that the engine computes.', () => engine().running);
  gauge(registry, 'num_requests_waiting', 'Sequences that wait in the engine.', () => engine().waiting);
  gauge(registry, 'kv_cache_usage_ratio', 'Part of the KV cache in use, 0 to 1.', () => engine().kvUsage);
  counter(
    'prefix_cache_queries_total',
    'Prompt tokens looked up in the prefix cache.',
    () => engine().prefixQueriedTokens,
  );
  counter('prefix_cache_hits_total', 'Prompt tokens found in the prefix cache.', () => engine().prefixHitTokens);
  counter(
    'num_preemptions_total',
    'Sequences that gave up their cache and were computed again.',
    () => engine().preemptions,
  );
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name: prefix + name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}
