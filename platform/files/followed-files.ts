/**
 * What files hold, followed while the process runs. A folder's own events say when to look, and a look every few seconds
 * finds what they miss: mounted Secrets and ConfigMaps are swapped through symbolic links, other mounts have no events.
 * What cannot be read or makes no sense changes nothing; it is reported once it has stayed so for a moment, because files
 * that belong together are seldom written at once.
 */
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { backgroundClock, type Clock } from '../process/clock.ts';

export interface FileOption {
  /** Name of the option that gives the path, such as "--tls-cert". */
  readonly option: string;
  readonly path: string;
}

export interface FollowOptions<Value> {
  readonly files: readonly FileOption[];
  /** Makes a value of the files' contents, in their order. Throws where they make none. */
  readonly parse: (contents: readonly Buffer[]) => Value;
  /** Called after a change. */
  readonly onChange?: (value: Value, before: Value) => void;
  /** Called once with what stands in the way of a change; the former value stays. */
  readonly onError: (error: unknown) => void;
  readonly clock?: Clock;
  /** Milliseconds between looks that no event asked for. */
  readonly pollMs?: number;
}

/** From an event to the look: a swap is several events. */
const SETTLE_MS = 50;
/** For so long contents may make no sense before that is reported. */
const PATIENCE_MS = 1_000;
const POLL_MS = 5_000;

export class FollowedFiles<Value> {
  readonly #options: FollowOptions<Value> & { readonly clock: Clock; readonly pollMs: number };
  readonly #watchers: readonly FSWatcher[];
  #contents: readonly Buffer[];
  #value: Value;
  /** Why the last look brought nothing; null: it did. */
  #obstacle: string | null = null;
  #reported: string | null = null;
  #cancelLook: () => void = () => undefined;
  #cancelPoll: () => void = () => undefined;

  /** Reads now, and throws what is wrong now. */
  constructor(options: FollowOptions<Value>) {
    const { clock = backgroundClock, pollMs = POLL_MS } = options;
    this.#options = { ...options, clock, pollMs };
    this.#contents = options.files.map(read);
    this.#value = options.parse(this.#contents);
    const folders = new Set(options.files.map(({ path }) => dirname(path)));
    this.#watchers = [...folders].flatMap((folder) => this.#watch(folder));
    this.#pollLater();
  }

  get value(): Value {
    return this.#value;
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#cancelLook();
    this.#cancelPoll();
  }

  #watch(folder: string): readonly FSWatcher[] {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#lookLater(SETTLE_MS));
      watcher.on('error', () => watcher.close());
      return [watcher];
    } catch {
      return []; // The system has no watches left, or the folder cannot be listed: looking now and then will do.
    }
  }

  #pollLater(): void {
    const { clock, pollMs } = this.#options;
    this.#cancelPoll = clock.after(pollMs, () => {
      this.#look();
      this.#pollLater();
    });
  }

  #lookLater(ms: number): void {
    this.#cancelLook();
    this.#cancelLook = this.#options.clock.after(ms, () => this.#look());
  }

  #look(): void {
    const { files, parse, onChange, onError } = this.#options;
    const before = this.#value;
    try {
      const contents = files.map(read);
      const changed = contents.some((content, index) => !content.equals(this.#contents[index] ?? Buffer.alloc(0)));
      if (changed) {
        this.#value = parse(contents);
        this.#contents = contents;
      }
      this.#obstacle = null;
      this.#reported = null;
      if (changed) onChange?.(this.#value, before);
    } catch (error) {
      const obstacle = error instanceof Error ? error.message : String(error);
      if (obstacle !== this.#obstacle) this.#lookLater(PATIENCE_MS);
      else if (obstacle !== this.#reported) {
        this.#reported = obstacle;
        onError(error);
      }
      this.#obstacle = obstacle;
    }
  }
}

function read({ option, path }: FileOption): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`${option} ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
