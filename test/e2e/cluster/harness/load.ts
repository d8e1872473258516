/**
 * Clients that stream completions from a cluster without a pause, hold every token against what the cluster says when
 * nothing is wrong, and remember how long they waited for each.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../server.ts';

/** Tokens of each answer. */
const outputTokens = 48;

export interface LoadOptions {
  /** Controllers; clients are dealt out over them and go to the next one when theirs is gone. */
  readonly urls: readonly string[];
  readonly model: string;
  /** What says how the model is cut: another cut rounds other sums. */
  readonly layout: string;
  readonly clients: number;
  /** Only tasks that begin so; default: all. */
  readonly tasks?: string;
}

/** Between two tokens of a client. */
export interface Gap {
  readonly ms: number;
  /** Milliseconds since the epoch. */
  readonly endedAt: number;
}

export interface LoadReport {
  readonly requests: number;
  /** Requests that failed, with why. A controller that is gone is no failure: the client asks the next one. */
  readonly failures: readonly string[];
  /** Requests whose tokens were others than when nothing was wrong. */
  readonly changed: readonly string[];
  /** Times that a client went to another controller. */
  readonly reconnects: number;
  readonly gaps: readonly Gap[];
  /** Their milliseconds, ascending. */
  readonly gapsMs: readonly number[];
}

/** The value that a share of the values is not above. */
export function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.ceil(ascending.length * share) - 1)] ?? 0;
}

export function ascendingMs(gaps: readonly Gap[]): readonly number[] {
  return gaps.map(({ ms }) => ms).sort((a, b) => a - b);
}

class ControllerGone extends Error {}

/** What a cluster answered when nothing was wrong, by model, layout and prompt. Who answers changes no bit of it. */
const answers = new Map<string, readonly number[]>();

export class Load {
  readonly #options: LoadOptions;
  readonly #prompts: readonly string[];
  readonly #expected: readonly (readonly number[])[];
  #clients: Promise<void>[] = [];
  #stopping = false;
  #requests = 0;
  /** Since the start; `requests` is since the last report. */
  #answered = 0;
  #reconnects = 0;
  #failures: string[] = [];
  #changed: string[] = [];
  #gaps: Gap[] = [];

  private constructor(options: LoadOptions, prompts: readonly string[], expected: readonly (readonly number[])[]) {
    this.#options = options;
    this.#prompts = prompts;
    this.#expected = expected;
  }

  /** Asks each prompt that no cluster of this layout was asked yet, one after the other, and remembers the answers. */
  static async prepare(options: LoadOptions): Promise<Load> {
    const prompts = readFileSync(join(root, 'models/clerk/tasks.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { readonly prompt: string }).prompt)
      .filter((prompt) => prompt.startsWith(options.tasks ?? ''))
      .slice(0, options.clients);
    const expected: (readonly number[])[] = [];
    for (const prompt of prompts) {
      const key = [options.model, options.layout, prompt].join('\n');
      const known = answers.get(key) ?? (await answerOf(options, prompt));
      answers.set(key, known);
      expected.push(known);
    }
    return new Load(options, prompts, expected);
  }

  /** Begins to ask, from all clients at once. */
  start(): void {
    this.#stopping = false;
    this.#clients = Array.from({ length: this.#options.clients }, (_, client) => this.#run(client));
  }

  /** What happened since the start or the last call. */
  take(): LoadReport {
    const report = {
      requests: this.#requests,
      failures: this.#failures,
      changed: this.#changed,
      reconnects: this.#reconnects,
      gaps: this.#gaps,
      gapsMs: ascendingMs(this.#gaps),
    };
    this.#requests = 0;
    this.#reconnects = 0;
    this.#failures = [];
    this.#changed = [];
    this.#gaps = [];
    return report;
  }

  /** Takes what happens within so many milliseconds. */
  async measure(ms: number): Promise<LoadReport> {
    this.take();
    await new Promise((resolve) => setTimeout(resolve, ms));
    return this.take();
  }

  /** Waits until so many more requests have been answered. */
  async answered(requests: number): Promise<void> {
    const wanted = this.#answered + requests;
    while (this.#answered < wanted) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Lets the running requests end. */
  async stop(): Promise<LoadReport> {
    this.#stopping = true;
    await Promise.all(this.#clients);
    return this.take();
  }

  async #run(client: number): Promise<void> {
    const { urls } = this.#options;
    let place = client % urls.length;
    for (let round = 0; !this.#stopping; round++) {
      const prompt = (client + round) % this.#prompts.length;
      try {
        await this.#ask(urls[place] ?? '', prompt);
        this.#requests++;
        this.#answered++;
      } catch (error) {
        if (error instanceof ControllerGone && urls.length > 1) {
          place = (place + 1) % urls.length;
          this.#reconnects++;
          round--; // The client asks again, elsewhere.
        } else this.#failures.push(describe(error));
      }
    }
  }

  async #ask(url: string, prompt: number): Promise<void> {
    const tokens: number[] = [];
    let last = 0;
    await streamTokens(url, this.#options.model, this.#prompts[prompt] ?? '', (ids) => {
      const now = performance.now();
      if (last > 0) this.#gaps.push({ ms: now - last, endedAt: performance.timeOrigin + now });
      last = now;
      tokens.push(...ids);
    });
    const expected = this.#expected[prompt] ?? [];
    if (tokens.length !== expected.length || tokens.some((token, i) => token !== expected[i])) {
      this.#changed.push(`prompt ${prompt}: expected ${expected.join(' ')}, got ${tokens.join(' ')}`);
    }
  }
}

async function answerOf({ urls, model }: LoadOptions, prompt: string): Promise<readonly number[]> {
  const tokens: number[] = [];
  await streamTokens(urls[0] ?? '', model, prompt, (ids) => void tokens.push(...ids));
  return tokens;
}

/** Streams one completion. */
async function streamTokens(
  url: string,
  model: string,
  prompt: string,
  onTokens: (ids: readonly number[]) => void,
): Promise<void> {
  const body = {
    ...{ model, prompt, max_tokens: outputTokens, temperature: 0, ignore_eos: true },
    ...{ stream: true, return_token_ids: true },
  };
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(120_000),
  }).catch((error: unknown) => {
    throw isGone(error) ? new ControllerGone('refused', { cause: error }) : error;
  });
  if (!response.ok || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
  let rest = '';
  let done = false;
  const pieces = response.body.pipeThrough(new TextDecoderStream());
  try {
    for await (const piece of pieces) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === 'data: [DONE]') done = true;
        else if (line.startsWith('data: ')) onTokens(tokenIds(line.slice(6)));
      }
    }
  } catch (error) {
    throw isGone(error) ? new ControllerGone('cut', { cause: error }) : error;
  }
  if (!done) throw new ControllerGone('the stream ended without [DONE]');
}

function tokenIds(json: string): readonly number[] {
  const message = JSON.parse(json) as {
    readonly choices?: readonly { readonly token_ids?: readonly number[] }[];
    readonly error?: { readonly message: string };
  };
  if (message.error !== undefined) throw new Error(message.error.message);
  return message.choices?.[0]?.token_ids ?? [];
}

/** Whether a connection broke or could not be made. */
function isGone(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const cause = error.cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return ['ECONNREFUSED', 'ECONNRESET', 'UND_ERR_SOCKET', 'EPIPE'].includes(code) || error.message === 'terminated';
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
