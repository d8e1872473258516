import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { packageRoot } from '../../proto/package-root.ts';

interface Ready {
  readonly pid: number;
  readonly http: string;
  readonly model: { readonly name: string };
  /** Absent without worker processes. */
  readonly workers?: readonly { readonly id: string; readonly pid: number }[];
}

/** `conclave serve` in a process of its own, with its workers if it has any. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #ready: Ready;

  private constructor(child: ChildProcess, ready: Ready) {
    this.#child = child;
    this.#ready = ready;
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
    return new ServerProcess(child, JSON.parse(text) as Ready);
  }

  /** Asks for a streamed completion; its events, piece by piece. */
  async *complete(prompt: readonly number[], outputTokens: number): AsyncGenerator<string> {
    const response = await fetch(`${this.#ready.http}/v1/completions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        model: this.#ready.model.name,
        prompt,
        max_tokens: outputTokens,
        temperature: 0,
        ignore_eos: true,
        stream: true,
        stream_options: { include_usage: true },
        return_token_ids: true,
      }),
    });
    if (!response.ok || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
    yield* response.body.pipeThrough(new TextDecoderStream());
  }

  /** Milliseconds of processor time used so far, by part; the kernel counts hundredths of a second. */
  processorMs(): Readonly<Record<string, number>> {
    const { pid, workers = [] } = this.#ready;
    const parts = workers.map((worker) => [worker.id, processorMs(worker.pid)] as const);
    return Object.fromEntries([[workers.length > 0 ? 'controller' : 'process', processorMs(pid)], ...parts]);
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exited;
  }
}

function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
