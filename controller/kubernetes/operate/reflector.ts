import type { Clock } from '../../../platform/process/clock.ts';
import { type KubeApi, KubeError, type RawObject, type WatchEvent, type Watched } from '../api/kube-api.ts';

export interface ReflectorOptions<T> {
  readonly api: Pick<KubeApi, 'list' | 'watch'>;
  readonly kind: Watched;
  /** Null: it is not what it should be, and is not kept. */
  readonly read: (object: RawObject) => T | null;
  /** An object has come, changed or gone; `value` is what it is now, or was last. */
  readonly onChange: (value: T) => void;
  readonly onError: (what: string, error: unknown) => void;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
}

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 30_000;

/**
 * The objects of one kind, as the API server has them. What was seen last stays while the server is away. A watch that ends is begun
 * again where it stood; whatever else happens to it, and when what it stood at has expired, everything is listed again.
 */
export class Reflector<T> {
  readonly items = new Map<string, T>();
  /** Everything that there is has been seen once. */
  synced = false;
  readonly #options: ReflectorOptions<T>;
  readonly #stop = new AbortController();
  #version: string | null = null;
  #failures = 0;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
  }

  /** Follows the objects until `stop`. */
  async run(): Promise<void> {
    const { kind, onError, clock } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        this.#version ??= await this.#list();
        const began = clock.now();
        await this.#watch(this.#version);
        if (clock.now() - began >= FIRST_DELAY_MS) this.#failures = 0;
        else await this.#pause(this.#failures++); // A server that ends every watch at once is not asked without end.
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#version = null;
        const expired = error instanceof KubeError && error.expired;
        if (!expired) onError(`watching ${kind}`, error);
        await this.#pause(expired ? 0 : this.#failures);
        this.#failures += 1;
      }
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  async #list(): Promise<string> {
    const { api, kind, onChange } = this.#options;
    const { items, resourceVersion } = await api.list(kind);
    const there = new Set(items.map(({ metadata }) => metadata.name));
    for (const [name, value] of this.items) {
      if (there.has(name)) continue;
      this.items.delete(name);
      onChange(value);
    }
    for (const object of items) this.#keep(object);
    this.synced = true;
    return resourceVersion;
  }

  async #watch(version: string): Promise<void> {
    const { api, kind } = this.#options;
    await api.watch(kind, version, (event) => this.#see(event), this.#stop.signal);
  }

  #see({ type, object }: WatchEvent): void {
    this.#failures = 0;
    this.#version = object.metadata.resourceVersion;
    if (type === 'BOOKMARK') return;
    if (type !== 'DELETED') return this.#keep(object);
    const { name } = object.metadata;
    const last = this.items.get(name);
    this.items.delete(name);
    if (last !== undefined) this.#options.onChange(last);
  }

  #keep(object: RawObject): void {
    const value = this.#options.read(object);
    if (value === null) return;
    this.items.set(object.metadata.name, value);
    this.#options.onChange(value);
  }

  /** Longer after each failure, with some chance in it, so that not all ask at once when the server is back. */
  #pause(failures: number): Promise<void> {
    const { clock, random } = this.#options;
    const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures, 10)) * (0.5 + random() / 2);
    return new Promise((resolve) => {
      const cancel = clock.after(delay, resolve);
      this.#stop.signal.addEventListener(
        'abort',
        () => {
          cancel();
          resolve();
        },
        { once: true },
      );
    });
  }
}
