import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, Server } from '../../server.ts';

const run = promisify(execFile);
const folder = import.meta.dirname;
const digest = createHash('sha256')
  .update(readFileSync(join(folder, 'requirements.txt')))
  .digest('hex')
  .slice(0, 12);
const place = join(root, 'node_modules', '.cache', `lm-eval-${digest}`);
const missing = !existsSync(join(place, 'whole'));

interface Sample {
  readonly doc: { readonly question: string; readonly answer: string; readonly choices: readonly string[] };
  /** What the model wrote, or a choice's log-probability and whether it is the likeliest. */
  readonly filtered_resps: readonly (string | readonly [number | string, unknown])[];
}

describe.skipIf(missing)(`lm-eval${missing ? ' (test/e2e/clients/lm-eval/install.sh installs it)' : ''}`, () => {
  let server: Server;
  let out: string;
  beforeAll(async () => {
    [server, out] = await Promise.all([Server.start([]), mkdtemp(join(tmpdir(), 'conclave-lm-eval-'))]);
  });
  afterAll(async () => {
    await Promise.all([server.stop(), rm(out, { recursive: true })]);
  });

  async function evaluate(task: string, model: string, path: string, flags: readonly string[]): Promise<Sample[]> {
    const described = `model=clerk,base_url=${server.url}${path},num_concurrent=2,max_length=512`;
    const command = ['-m', 'lm_eval', '--model', model, '--model_args', described, '--tasks', task, ...flags];
    const files = ['--include_path', folder, '--output_path', out, '--log_samples'];
    const env = { ...process.env, HF_HOME: join(out, 'hub'), HF_DATASETS_OFFLINE: '1', HF_HUB_OFFLINE: '1' };
    await run(join(place, 'bin', 'python'), [...command, ...files], { cwd: folder, env, timeout: 200_000 });
    const samples = readdirSync(join(out, 'clerk')).find((file) => file.startsWith(`samples_${task}_`)) ?? '';
    const lines = readFileSync(join(out, 'clerk', samples), 'utf8')
      .trim()
      .split('\n');
    return lines.map((line) => JSON.parse(line) as Sample);
  }

  async function ask<Answer>(path: string, body: object): Promise<Answer> {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${server.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(response.status).toBe(200);
    return (await response.json()) as Answer;
  }

  /** The log-probability of `text` after `context`, of the log-probabilities that an echo has. */
  async function logprobOf(context: string, text: string): Promise<number> {
    const tokenise = (prompt: string) =>
      ask<{ tokens: number[] }>('/tokenize', { prompt, add_special_tokens: false }).then(({ tokens }) => tokens);
    const [before, prompt] = await Promise.all([tokenise(context), tokenise(context + text)]);
    const echo = { model: 'clerk', prompt, echo: true, logprobs: 1, max_tokens: 0, temperature: 0 };
    type Echo = { choices: [{ logprobs: { token_logprobs: number[] } }] };
    const { choices } = await ask<Echo>('/v1/completions', echo);
    return choices[0].logprobs.token_logprobs.slice(before.length).reduce((sum, logprob) => sum + logprob, 0);
  }

  it('scores choices by the log-probabilities that the server has', async () => {
    const samples = await evaluate('sums_scored', 'local-completions', '/v1/completions', ['--batch_size', '4']);
    expect(samples).toHaveLength(3);
    for (const { doc, filtered_resps: scores } of samples) {
      for (const [index, choice] of doc.choices.entries()) {
        const [score = Number.NaN] = scores[index] ?? [];
        expect(Number(score)).toBeCloseTo(await logprobOf(doc.question, ` ${choice}`), 4);
      }
    }
  });

  it('has answers generated', async () => {
    const chat = ['--apply_chat_template'];
    const samples = await evaluate('sums_generated', 'local-chat-completions', '/v1/chat/completions', chat);
    expect(samples.map(({ filtered_resps: [text] }) => text)).toEqual(samples.map(({ doc }) => doc.answer));
  });
});
