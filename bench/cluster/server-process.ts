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

/** Tokens of some streams and how long they took, from the first token of the last stream to the end. */
export interface Decoded {
  readonly tokens: number;
  readonly ms: number;
}

/** `conclave serve`, alone or with its workers. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #ready: Ready;

  private constructor(child: ChildProcess, ready: Ready) {
    this.#child = child;
    this.#ready = ready;
  }

  static async start(flags: readonly string[]): Promise<ServerProcess> {
    const fixed = ['--port', '0', '--grpc-port', '0', '--output', 'json', '--log-level', 'warn'];
    const child = spawn(process.execPath, ['bin/conclave.js', 'serve', ...flags, ...fixed], {
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

  /** Streams so many completions at once. Counted is the time in which all of them decode: prompts are not. */
  async decode(streams: number, outputTokens: number): Promise<Decoded> {
    let begun = 0;
    let startedAt = 0;
    let tokens = 0;
    const onToken = (first: boolean): void => {
      if (startedAt > 0) tokens++;
      if (first && ++begun === streams) startedAt = performance.now();
    };
    await Promise.all(Array.from({ length: streams }, (_, stream) => this.#stream(stream, outputTokens, onToken)));
    return { tokens, ms: performance.now() - startedAt };
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

  async #stream(stream: number, outputTokens: number, onToken: (first: boolean) => void): Promise<void> {
    const response = await fetch(`${this.#ready.http}/v1/completions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        ...{ model: this.#ready.model.name, prompt: [stream + 1, 7, 11, 13], max_tokens: outputTokens },
        ...{ temperature: 0, ignore_eos: true, stream: true, return_token_ids: true },
      }),
    });
    if (!response.ok || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
    let rest = '';
    let count = 0;
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const ids = /"token_ids":\[([^\]]*)\]/.exec(line)?.[1];
        if (ids === undefined || ids === '') continue;
        for (const _ of ids.split(',')) onToken(count++ === 0);
      }
    }
    if (count !== outputTokens) throw new Error(`a stream brought ${count} tokens instead of ${outputTokens}`);
  }
}

function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
