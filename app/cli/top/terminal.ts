/**
 * A terminal that is drawn on as a whole, and that is as it was before once the process ends, however it ends (but by
 * SIGKILL).
 */
import { writeSync } from 'node:fs';
import type { ReadStream, WriteStream } from 'node:tty';
import { signalCode } from '../../command/exit.ts';
import type { Size } from './view/render.ts';
import type { Style } from './view/style.ts';

/** The other screen, no cursor, no line breaks at the edge; and back, in reverse order. */
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[0m\u001b[?7h\u001b[?25h\u001b[?1049l';
const STDOUT = 1;
const [END_OF_LINE, END_OF_SCREEN] = ['\u001b[K', '\u001b[J'];

export interface TerminalOptions {
  readonly input: ReadStream;
  readonly output: WriteStream;
  /** What was typed. */
  readonly onInput: (text: string) => void;
  /** The size is another, or the process goes on after it was suspended: all must be drawn again. */
  readonly onChange: () => void;
}

export class Terminal {
  readonly #options: TerminalOptions;
  #open = false;

  constructor(options: TerminalOptions) {
    this.#options = options;
  }

  get size(): Size {
    const { columns, rows } = this.#options.output;
    // Some terminals say 0.
    return { columns: columns || 80, rows: rows || 24 };
  }

  open(): void {
    const { input, output, onInput, onChange } = this.#options;
    process.on('exit', this.#leave);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => process.exit(signalCode(signal)));
    }
    process.on('SIGCONT', () => {
      this.#enter();
      onChange();
    });
    input.setEncoding('utf8').on('data', onInput);
    // The other end of the terminal has gone.
    input.on('end', () => process.exit(signalCode('SIGHUP')));
    input.on('error', () => process.exit(signalCode('SIGHUP')));
    output.on('resize', onChange);
    this.#enter();
  }

  draw(lines: readonly string[]): void {
    // Every line is written over what was there: nothing flickers.
    const text = lines.map((line, row) => `\u001b[${row + 1};1H${line}${END_OF_LINE}`).join('');
    this.#options.output.write(`${text}${END_OF_SCREEN}`);
  }

  /** Stops the process until the shell lets it go on. */
  suspend(): void {
    this.#leave();
    process.kill(process.pid, 'SIGSTOP');
  }

  readonly #enter = (): void => {
    if (this.#open) return;
    this.#open = true;
    this.#options.input.setRawMode(true);
    this.#options.output.write(ENTER);
  };

  /** At once: the process may be about to end. */
  readonly #leave = (): void => {
    if (!this.#open) return;
    this.#open = false;
    try {
      this.#options.input.setRawMode(false);
      writeSync(STDOUT, LEAVE);
    } catch {
      // The terminal is gone.
    }
  };
}

/** What a terminal can show, as it and the environment say. */
export function styleOf(output: Pick<WriteStream, 'getColorDepth'>, environment: NodeJS.ProcessEnv): Style {
  const depth = (environment['NO_COLOR'] ?? '') === '' ? output.getColorDepth(environment) : 1;
  const locale = environment['LC_ALL'] || environment['LC_CTYPE'] || environment['LANG'] || '';
  return { colours: depth >= 8 ? 256 : depth >= 4 ? 16 : 0, unicode: /utf-?8/i.test(locale) };
}
