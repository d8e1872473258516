/**
 * Tasks that run one by one in a thread or process that can be ended. It starts with the first of them. A task that takes too
 * long ends its host; the tasks behind it go to the next one. Small tasks go before large ones that wait, so that one client's
 * long work hardly delays others; a task that a few smaller ones have passed over is next. Among equal ones clients take turns.
 */
import { ServiceError, toServiceError } from '../../errors.ts';

/** Where tasks run. It answers each in the order in which they came. */
export interface TaskHost<Task> {
  /** Throws for values that cannot be handed over. */
  post(task: Task): void;
  /** Ends it at once, whatever it does. */
  end(): Promise<void>;
}

/** What a host answers. */
export interface HostEvents<Answer> {
  /** It takes tasks: from now on their time counts. */
  readonly onReady: () => void;
  readonly onAnswer: (answer: Answer) => void;
  /** It has ended by itself, within the first task that it has not answered. */
  readonly onLost: (cause: Error) => void;
}

export interface IsolatedTasksOptions<Task, Answer> {
  readonly start: (events: HostEvents<Answer>) => TaskHost<Task>;
  /** Longest that one task may take once it is at the front, in milliseconds. */
  readonly timeLimitMs: number;
  /** How much work a task is, in any unit; default: all are as much, and go in their order. */
  readonly size?: (task: Task) => number;
  /** Most tasks that wait, and most of them that the host is given ahead of time. */
  readonly maxWaiting: number;
  /** Most tasks of one client that wait; default: as many as wait in all. */
  readonly maxWaitingEach?: number;
  readonly ahead: number;
  /** The error for a task that took too long, and for one in which the host ended or could not start. */
  readonly tooLong: (task: Task) => ServiceError;
  readonly lost: (task: Task, cause: Error) => ServiceError;
  /** The error for one task too many. */
  readonly full: string;
}

interface Entry<Task, Answer> {
  readonly task: Task;
  readonly client: string;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
  /** Times that a task went before it which came behind it. */
  passedOver: number;
}

/** So many tasks may pass one over. */
const mostPassedOver = 8;

/** Longest that a host may take to start, on a machine that is busy with everything else. */
const startLimitMs = 60_000;

/** The task could not be handed over, such as a value that is nested too deeply. */
export class TaskError extends Error {}

export class IsolatedTasks<Task, Answer> {
  readonly #options: IsolatedTasksOptions<Task, Answer>;
  #waiting: Entry<Task, Answer>[] = [];
  /** With the host; the first of them is what it works on. */
  readonly #posted: Entry<Task, Answer>[] = [];
  #timer: NodeJS.Timeout | undefined;
  #host: TaskHost<Task> | null = null;
  #ready = false;
  #closed = false;
  /** The turns in which clients came last; forgotten when nobody waits. */
  readonly #turns = new Map<string, number>();
  #turn = 0;

  constructor(options: IsolatedTasksOptions<Task, Answer>) {
    this.#options = options;
  }

  /** A task that still waits is dropped when the signal aborts. `client`: whose it is. */
  run(task: Task, signal: AbortSignal | null, client = ''): Promise<Answer> {
    if (signal?.aborted === true) return Promise.reject(toServiceError(signal.reason));
    if (this.#closed) return Promise.reject(new ServiceError('UNAVAILABLE', 'the server is shutting down'));
    const { maxWaiting, maxWaitingEach = maxWaiting } = this.#options;
    const ofClient = this.#waiting.filter((entry) => entry.client === client).length;
    if (this.#waiting.length >= maxWaiting || ofClient >= maxWaitingEach) {
      return Promise.reject(new ServiceError('OVERLOADED', this.#options.full));
    }
    return new Promise((resolve, reject) => {
      const drop = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== entry);
        reject(toServiceError(signal?.reason));
      };
      const settle =
        <T>(by: (value: T) => void) =>
        (value: T): void => {
          signal?.removeEventListener('abort', drop);
          by(value);
        };
      const settled = { resolve: settle(resolve), reject: settle(reject) };
      const entry: Entry<Task, Answer> = { task, client, ...settled, passedOver: 0 };
      signal?.addEventListener('abort', drop, { once: true });
      this.#waiting.push(entry);
      this.#post();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const reason = new ServiceError('UNAVAILABLE', 'the server is shutting down');
    for (const { reject } of [...this.#posted.splice(0), ...this.#waiting.splice(0)]) reject(reason);
    await this.#end();
  }

  #post(): void {
    while (this.#posted.length <= this.#options.ahead) {
      const next = this.#takeNext();
      if (next === undefined) return;
      this.#host ??= this.#start();
      try {
        this.#host.post(next.task);
      } catch (error) {
        next.reject(new TaskError((error as Error).message));
        continue;
      }
      if (this.#posted.push(next) === 1) this.#watch();
    }
  }

  #takeNext(): Entry<Task, Answer> | undefined {
    const next = this.#nextIndex();
    for (const entry of this.#waiting.slice(0, next)) if (this.#larger(entry, this.#waiting[next]!)) entry.passedOver++;
    const [entry] = this.#waiting.splice(next, 1);
    if (entry !== undefined) this.#turns.set(entry.client, ++this.#turn);
    if (this.#waiting.length === 0) this.#turns.clear();
    return entry;
  }

  #nextIndex(): number {
    if ((this.#waiting[0]?.passedOver ?? 0) >= mostPassedOver) return 0;
    const turn = ({ client }: Entry<Task, Answer>): number => this.#turns.get(client) ?? 0;
    let next = 0;
    this.#waiting.forEach((entry, i) => {
      const best = this.#waiting[next]!;
      if (this.#larger(best, entry) || (!this.#larger(entry, best) && turn(entry) < turn(best))) next = i;
    });
    return next;
  }

  #larger(one: Entry<Task, Answer>, other: Entry<Task, Answer>): boolean {
    const { size = () => 0 } = this.#options;
    return size(one.task) > size(other.task);
  }

  /** Starts the clock of the task at the front. */
  #watch(): void {
    clearTimeout(this.#timer);
    const [first] = this.#posted;
    if (first === undefined) return;
    const { timeLimitMs, tooLong, lost } = this.#options;
    this.#timer = this.#ready
      ? setTimeout(() => this.#fail(tooLong(first.task)), timeLimitMs)
      : setTimeout(() => this.#fail(lost(first.task, new Error('it did not start'))), startLimitMs);
  }

  #start(): TaskHost<Task> {
    this.#ready = false;
    const host = this.#options.start({
      onReady: () => {
        if (host !== this.#host) return;
        this.#ready = true;
        this.#watch();
      },
      onAnswer: (answer) => {
        if (host !== this.#host) return;
        this.#posted.shift()?.resolve(answer);
        this.#watch();
        this.#post();
      },
      onLost: (cause) => {
        if (host !== this.#host) return;
        const [first] = this.#posted;
        this.#fail(first === undefined ? cause : this.#options.lost(first.task, cause));
      },
    });
    return host;
  }

  /** Ends the host and the task at the front; the others begin again with the next host. */
  #fail(error: Error): void {
    void this.#end();
    this.#posted.shift()?.reject(error);
    this.#waiting.unshift(...this.#posted.splice(0));
    this.#post();
  }

  async #end(): Promise<void> {
    clearTimeout(this.#timer);
    const host = this.#host;
    this.#host = null;
    await host?.end();
  }
}
