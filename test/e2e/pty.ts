import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { withDeadline } from './processes.ts';
import { root, until } from './server.ts';

const deadlineMs = 60_000;

/** A command of the built program on a terminal of its own (`script` of util-linux), 80 × 24 unless it is resized. */
export class Pty implements AsyncDisposable {
  readonly #child: ChildProcess;
  #output = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
  }

  /** The shell around the command prints its terminal's settings before and after, and the command's exit code. */
  static start(command: readonly string[], environment: Readonly<Record<string, string>>): Pty {
    const quoted = command.map((part) => `'${part}'`).join(' ');
    const shell =
      'trap : INT TERM; stty rows 24 cols 80; echo "TTY $(tty)"; echo "BEFORE $(stty -g)"; ' +
      `'${process.execPath}' bin/conclave.js ${quoted}; echo "EXIT $?"; echo "AFTER $(stty -g)"`;
    const child = spawn('script', ['-qfec', shell, '/dev/null'], {
      cwd: root,
      env: {
        ...process.env,
        TERM: 'xterm-256color',
        LANG: 'C.UTF-8',
        LC_ALL: 'C.UTF-8',
        SHELL: '/bin/sh',
        ...environment,
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return new Pty(child);
  }

  /** All that was written to the terminal. */
  get output(): string {
    return this.#output;
  }

  /** The lines of the picture that was drawn last, without colours. */
  get screen(): readonly string[] {
    const rows = (this.#output.split('\u001b[1;1H').at(-1) ?? '').split('\u001b[J')[0]?.split(/\u001b\[\d+;1H/) ?? [];
    return rows.map((row) => row.replaceAll(/\u001b\[[?\d;]*[A-Za-z]/g, ''));
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Waits until the picture is as wanted. */
  untilShown(text: string | RegExp): Promise<string> {
    const holds = (screen: string): boolean => (typeof text === 'string' ? screen.includes(text) : text.test(screen));
    return until(() => this.screen.join('\n'), holds, deadlineMs);
  }

  /** What the shell printed behind a name: its settings before and after, the exit code. */
  printed(name: 'TTY' | 'BEFORE' | 'AFTER' | 'EXIT'): string | null {
    return new RegExp(`(?:^|[\\r\\n\\u001bhl])${name} (\\S+)\\r?\\n`).exec(this.#output)?.[1] ?? null;
  }

  async ended(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    await withDeadline(once(this.#child, 'close'), deadlineMs, 'the end of the terminal');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended();
  }
}
