/**
 * Tasks that run one by one in a thread or process that can be ended. It starts with the first of them. A task that takes too
 * long ends its host; the tasks behind it go to the next one. Small tasks go before large ones that wait, so that one client's
 * long work hardly delays others; a task that was passed over a few times is next.
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
  readonly ahead: number;
  /** The error for a task that took too long, and for one in which the host ended or could not start. */
  readonly tooLong: (task: Task) => ServiceError;
  readonly lost: (task: Task, cause: Error) => ServiceError;
  /** The error for one task too many. */
  readonly full: string;
}

interface Entry<Task, Answer> {
  readonly task: Task;
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

  constructor(options: IsolatedTasksOptions<Task, Answer>) {
    this.#options = options;
  }

  /** A task that still waits is dropped when the signal aborts. */
  run(task: Task, signal: AbortSignal | null): Promise<Answer> {
    if (signal?.aborted === true) return Promise.reject(toServiceError(signal.reason));
    if (this.#closed) return Promise.reject(new ServiceError('UNAVAILABLE', 'the server is shutting down'));
    if (this.#waiting.length >= this.#options.maxWaiting) {
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
      const entry: Entry<Task, Answer> = { task, resolve: settle(resolve), reject: settle(reject), passedOver: 0 };
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
    const { size = () => 0 } = this.#options;
    let next = 0;
    if ((this.#waiting[0]?.passedOver ?? 0) < mostPassedOver) {
      this.#waiting.forEach(({ task }, i) => {
        if (size(task) < size((this.#waiting[next] as Entry<Task, Answer>).task)) next = i;
      });
    }
    for (const entry of this.#waiting.slice(0, next)) entry.passedOver++;
    return this.#waiting.splice(next, 1)[0];
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
