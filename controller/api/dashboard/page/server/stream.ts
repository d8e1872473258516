/** The stream of frames: it is opened again whenever it breaks, and rests while nobody sees the page. */
import type { Frame } from '../../frame.ts';
import { authorization } from './keys.ts';
import { answerOf, Refusal } from './requests.ts';
import { EventParser } from './sse.ts';

/** What the server says first: what may be changed with the key that was sent. */
export interface Session {
  readonly cluster: boolean;
  readonly operates: boolean;
  readonly obstacle: string | null;
  readonly operatorsNeedKey: boolean;
}

export interface StreamEvents {
  readonly key: () => string;
  readonly onSession: (session: Session) => void;
  readonly onFrame: (frame: Frame) => void;
  /** No frames come: why. */
  readonly onLost: (reason: string) => void;
  /** The key is missing or unknown; the stream waits for `restart`. */
  readonly onKeyWanted: (reason: string) => void;
}

/** Without a frame for so long the connection is taken for dead. */
const SILENCE_MS = 10_000;
const BACKOFF_MS = [500, 1_000, 2_000, 4_000];
/** A page that nobody sees goes on for so long. */
const HIDDEN_MS = 60_000;

export class FrameStream {
  readonly #events: StreamEvents;
  #connection: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(events: StreamEvents) {
    this.#events = events;
    document.addEventListener('visibilitychange', () => this.#visibilityChanged());
  }

  /** Opens the stream, with the key that there is now. */
  restart(): void {
    this.#stop();
    void this.#run();
  }

  async #run(): Promise<void> {
    const connection = new AbortController();
    this.#connection = connection;
    try {
      await this.#read(connection);
      this.#lost(connection, 'the controller ended the connection');
    } catch (error) {
      if (error instanceof Refusal && error.status === 401) {
        if (this.#connection === connection) this.#events.onKeyWanted(error.message);
      } else this.#lost(connection, error instanceof Refusal ? error.message : 'the controller does not answer');
    }
  }

  async #read(connection: AbortController): Promise<void> {
    const { key, onSession, onFrame } = this.#events;
    let silence = setTimeout(() => connection.abort(), SILENCE_MS);
    try {
      const response = await fetch('dashboard/watch', {
        headers: authorization(key()),
        signal: connection.signal,
        cache: 'no-store',
      });
      if (!response.ok || response.body === null) return void (await answerOf(response));
      const parser = new EventParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => connection.abort(), SILENCE_MS);
        for (const { name, data } of parser.push(value)) {
          if (name === 'session') onSession(JSON.parse(data) as Session);
          if (name !== 'frame') continue;
          this.#failures = 0;
          onFrame(JSON.parse(data) as Frame);
        }
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #lost(connection: AbortController, reason: string): void {
    // Another one was opened meanwhile, or this one was ended on purpose.
    if (this.#connection !== connection) return;
    this.#events.onLost(reason);
    const wait = BACKOFF_MS[Math.min(this.#failures, BACKOFF_MS.length - 1)] ?? 0;
    this.#failures += 1;
    // Many pages do not come back in one moment.
    this.#timer = setTimeout(() => this.restart(), wait * (0.5 + Math.random()));
  }

  #stop(): void {
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = null;
    connection?.abort();
  }

  #visibilityChanged(): void {
    if (document.visibilityState === 'hidden') {
      clearTimeout(this.#timer);
      if (this.#connection !== null) this.#timer = setTimeout(() => this.#stop(), HIDDEN_MS);
      return;
    }
    clearTimeout(this.#timer);
    const ended = this.#connection === null || this.#connection.signal.aborted || this.#failures > 0;
    if (ended) this.restart();
  }
}
