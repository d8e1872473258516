/** Compiles constraints beside the event loop, within limits of time and memory, and keeps what was asked for last. */
import { formatBytes, formatDuration } from '../../../platform/process/quantities.ts';
import type { Grammar } from '../../../proto/messages.ts';
import { ServiceError } from '../../errors.ts';
import { IsolatedTasks } from '../isolated/isolated-tasks.ts';
import { OutOfMemory, processHost } from '../isolated/process-host.ts';
import type { ConstraintAnswer } from './request/compile-constraint.ts';
import type { ConstraintTask } from './request/constraint-spec.ts';

export interface ConstraintLimits {
  /** Of one constraint. */
  readonly timeMs: number;
  readonly memoryBytes: number;
  readonly maxWaiting: number;
  /** Of one client. */
  readonly maxWaitingEach: number;
  /** Bytes of grammars that are kept. */
  readonly keptBytes: number;
}

const defaultLimits: ConstraintLimits = {
  timeMs: 5_000,
  memoryBytes: 512 * 2 ** 20,
  maxWaiting: 1024,
  maxWaitingEach: 256,
  keptBytes: 32 * 2 ** 20,
};

type ProcessAnswer = ConstraintAnswer | { readonly fault: string };

export class ConstraintCompiler {
  readonly #tasks: IsolatedTasks<ConstraintTask, ProcessAnswer>;
  readonly #limits: ConstraintLimits;
  /** The last one used is the last entry. */
  readonly #kept = new Map<string, Grammar>();
  #keptBytes = 0;
  /** Requests that come together with the same constraint wait for one compilation. */
  readonly #compiling = new Map<string, Promise<Grammar>>();

  constructor(limits: ConstraintLimits = defaultLimits) {
    this.#limits = limits;
    const refuse = ({ spec }: ConstraintTask, problem: string): ServiceError =>
      new ServiceError('INVALID_REQUEST', `${spec.path}: ${problem}`, { field: spec.path });
    this.#tasks = new IsolatedTasks<ConstraintTask, ProcessAnswer>({
      start: (events) =>
        processHost({ file: 'constraint/constraint-process.mjs', args: [], memoryBytes: limits.memoryBytes }, events),
      timeLimitMs: limits.timeMs,
      maxWaiting: limits.maxWaiting,
      maxWaitingEach: limits.maxWaitingEach,
      ahead: 0,
      tooLong: (task) => refuse(task, `it takes more than ${formatDuration(limits.timeMs)} to compile`),
      lost: (task, cause) =>
        cause instanceof OutOfMemory
          ? refuse(task, `it takes more than ${formatBytes(limits.memoryBytes)} of memory to compile`)
          : new ServiceError('INTERNAL', 'the process that compiles constraints ended unexpectedly', { cause }),
      full: 'too many constraints are waiting to be compiled',
    });
  }

  /** Clients take turns. Fails with a ServiceError that names the field at fault. */
  async compile(task: ConstraintTask, signal: AbortSignal | null, client = ''): Promise<Grammar> {
    const key = JSON.stringify(task);
    const known = this.#kept.get(key);
    if (known !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, known);
      return known;
    }
    const compiling =
      this.#compiling.get(key) ?? this.#run(key, task, client).finally(() => this.#compiling.delete(key));
    this.#compiling.set(key, compiling);
    const grammar = await compiling;
    signal?.throwIfAborted();
    return grammar;
  }

  async #run(key: string, task: ConstraintTask, client: string): Promise<Grammar> {
    const answer = await this.#tasks.run(task, null, client);
    if ('fault' in answer) {
      throw new ServiceError('INTERNAL', 'the constraint could not be compiled', { cause: new Error(answer.fault) });
    }
    if ('problem' in answer) {
      throw new ServiceError('UNSUPPORTED', `${answer.field}: ${answer.problem}`, { field: answer.field });
    }
    const grammar = buffers(answer.grammar);
    this.#keep(key, grammar);
    return grammar;
  }

  close(): Promise<void> {
    return this.#tasks.close();
  }

  #keep(key: string, grammar: Grammar): void {
    this.#kept.set(key, grammar);
    this.#keptBytes += sizeOf(key, grammar);
    for (const [oldest, old] of this.#kept) {
      if (this.#keptBytes <= this.#limits.keptBytes) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= sizeOf(oldest, old);
    }
  }
}

/** Between processes buffers become plain arrays of bytes. */
function buffers(grammar: Grammar): Grammar {
  const entries = Object.entries(grammar) as [keyof Grammar, Uint8Array][];
  return Object.fromEntries(entries.map(([name, bytes]) => [name, Buffer.from(bytes)])) as unknown as Grammar;
}

function sizeOf(key: string, grammar: Grammar): number {
  return Object.values(grammar).reduce((sum: number, bytes) => sum + (bytes as Uint8Array).length, key.length * 2);
}
