import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { packageRoot } from '../../proto/package-root.ts';
import { outputTokens, prompt, runStreams } from './workload.ts';

/** `conclave serve` in a process of its own. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #pid: number;

  private constructor(child: ChildProcess, { http, pid }: { readonly http: string; readonly pid: number }) {
    this.#child = child;
    this.#url = http;
    this.#pid = pid;
  }

  static async start(flags: readonly string[], nodeFlags: readonly string[] = []): Promise<ServerProcess> {
    const fixed = ['--port', '0', '--grpc-port', '0', '--output', 'json', '--log-level', 'warn'];
    const child = spawn(process.execPath, [...nodeFlags, 'bin/conclave.js', 'serve', ...flags, ...fixed], {
      cwd: packageRoot,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    for await (const piece of child.stdout) {
      text += String(piece);
      if (text.includes('\n')) break;
    }
    if (text === '') throw new Error('the server ended before it was ready');
    return new ServerProcess(child, JSON.parse(text) as { http: string; pid: number });
  }

  /** Asks for all streams at once, each streamed back event by event. */
  drive(streams: number): Promise<void> {
    return runStreams(streams, async (stream) => {
      const response = await fetch(`${this.#url}/v1/completions`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({
          model: 'tiny',
          prompt: prompt(stream),
          max_tokens: outputTokens,
          temperature: 0,
          ignore_eos: true,
          stream: true,
          stream_options: { include_usage: true },
        }),
      });
      if (!response.ok || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
      let text = '';
      for await (const piece of response.body.pipeThrough(new TextDecoderStream())) text += piece;
      return Number(/"completion_tokens":(\d+)/.exec(text)?.[1]);
    });
  }

  /** Processor time used so far, user and system; the kernel counts hundredths of a second. */
  processorMs(): number {
    const fields = readFileSync(`/proc/${this.#pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return 10 * (Number(fields[11]) + Number(fields[12]));
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exited;
  }
}
