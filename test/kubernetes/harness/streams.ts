/**
 * Clients that stream completions through the Service without a pause, and hold every token against what the same prompt gave
 * when nothing happened. They keep their connections, ask nobody a second time, and so count every failure.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { root } from '../../e2e/server.ts';
import { until } from './until.ts';

const outputTokens = 48;

/** How clients reach a release's API. */
export interface Endpoint {
  /** Name in the certificate. */
  readonly host: string;
  /** Address of the Service. */
  readonly address: string;
  readonly port: number;
  readonly authority: string;
  readonly key: string;
}

export interface Harm {
  /** Requests that failed, with when and why. */
  readonly failures: readonly string[];
  /** Requests whose tokens were others than when nothing happened. */
  readonly changed: readonly string[];
}

export function openAgent({ address, authority }: Endpoint): Agent {
  return new Agent({
    keepAlive: true,
    ca: authority,
    lookup: (_host, { all }, done) => {
      if (all === true) done(null, [{ address, family: 4 }]);
      else done(null, address, 4);
    },
  });
}

/** Sends JSON; settles with the answer's head. What takes longer than `withinMs`, the answer's body included, fails. */
export async function post(
  endpoint: Endpoint,
  agent: Agent,
  path: string,
  body: unknown,
  withinMs = 120_000,
): Promise<IncomingMessage> {
  const sent = request({
    ...{ agent, host: endpoint.host, port: endpoint.port, path, method: 'POST', signal: AbortSignal.timeout(withinMs) },
    headers: { 'content-type': 'application/json', authorization: `Bearer ${endpoint.key}` },
  });
  sent.end(JSON.stringify(body));
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${await text(response)}`);
  return response;
}

export class Streams {
  readonly #endpoint: Endpoint;
  readonly #agent: Agent;
  readonly #prompts: readonly string[];
  readonly #expected = new Map<string, string>();
  #running: Promise<void>[] = [];
  #stopping = false;
  #requests = 0;
  #failures: string[] = [];
  #changed: string[] = [];

  private constructor(endpoint: Endpoint, prompts: readonly string[]) {
    this.#endpoint = endpoint;
    this.#agent = openAgent(endpoint);
    this.#prompts = prompts;
  }

  /** Asks each prompt once, and remembers the answers; then asks from all clients at once. */
  static async start(endpoint: Endpoint, clients: number): Promise<Streams> {
    const lines = readFileSync(join(root, 'models/clerk/tasks.jsonl'), 'utf8').trim().split('\n');
    const prompts = lines.slice(0, clients).map((line) => (JSON.parse(line) as { readonly prompt: string }).prompt);
    const streams = new Streams(endpoint, prompts);
    for (const prompt of prompts) streams.#expected.set(prompt, await streams.#tokens(prompt));
    streams.#running = prompts.map((_, client) => streams.#ask(client));
    return streams;
  }

  /** Waits until so many further requests have been answered. */
  async more(requests: number): Promise<void> {
    const wanted = this.#requests + requests;
    await until(`${requests} more answers`, 120_000, async () => this.#requests >= wanted);
  }

  /** What has gone wrong since it was last asked. */
  takeHarm(): Harm {
    const harm = { failures: this.#failures, changed: this.#changed };
    [this.#failures, this.#changed] = [[], []];
    return harm;
  }

  /** Lets the requests that run end. */
  async stop(): Promise<Harm> {
    this.#stopping = true;
    await Promise.all(this.#running);
    this.#agent.destroy();
    return this.takeHarm();
  }

  async #ask(client: number): Promise<void> {
    for (let round = 0; !this.#stopping; round++) {
      const prompt = this.#prompts[(client + round) % this.#prompts.length] ?? '';
      try {
        const tokens = await this.#tokens(prompt);
        const expected = this.#expected.get(prompt);
        if (tokens !== expected) this.#changed.push(`${prompt}: expected ${expected}, got ${tokens}`);
        this.#requests++;
      } catch (error) {
        this.#failures.push(`${new Date().toISOString()} ${String(error)}`);
      }
    }
  }

  /** The token ids of a completion, as text. */
  async #tokens(prompt: string): Promise<string> {
    const response = await post(this.#endpoint, this.#agent, '/v1/completions', {
      ...{ model: 'clerk', prompt, max_tokens: outputTokens, temperature: 0, ignore_eos: true },
      ...{ stream: true, return_token_ids: true },
    });
    const events = (await text(response)).split('\n\n').filter((event) => event !== '');
    if (events.at(-1) !== 'data: [DONE]') throw new Error(`the stream ended with ${events.at(-1)}`);
    return events
      .slice(0, -1)
      .flatMap((event) => tokenIds(event))
      .join(' ');
  }
}

function tokenIds(event: string): readonly number[] {
  const { choices } = JSON.parse(event.replace(/^data: /, '')) as {
    readonly choices: readonly { readonly token_ids?: readonly number[] }[];
  };
  return choices[0]?.token_ids ?? [];
}
