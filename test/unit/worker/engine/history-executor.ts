import type { StepBatch, StepOutput } from '../../../../native/native.ts';
import type { ExecutorLimits, StepExecutor } from '../../../../worker/engine/step/executor.ts';

/** Next token of the "model": a hash of every token before it, and of what its randomness is keyed by. */
export function nextToken(history: readonly number[], seed: number, sequenceIndex: number, vocabSize: number): number {
  let hash = (seed ^ Math.imul(sequenceIndex + 1, 0x9e3779b1)) | 0;
  for (const token of history) hash = Math.imul(hash ^ (token + 1), 0x01000193) ^ (hash >>> 13);
  return (hash >>> 0) % vocabSize;
}

/** Log-probability that the "model" gives a token: again a hash of everything before it. */
export function scoreOf(history: readonly number[], token: number): number {
  return -nextToken(history, token, 0, 4096) / 4096;
}

export interface PendingStep {
  readonly batch: StepBatch;
  /** A step that failed meanwhile has voided blocks that this one reads: its results for those are void too. */
  voided: boolean;
  /** Computes the step with what its arrays and the cache hold now. */
  succeed(): void;
  fail(code: string): void;
}

/**
 * An executor whose output depends on every token of a sequence, read back through the cache blocks it is given: a block
 * shared wrongly, stale, or never written, a wrong position and a lost token all change it, or are refused outright.
 * Steps are computed when the test says so, at the very end, so that arrays changed before show too.
 */
export class HistoryExecutor implements StepExecutor {
  readonly limits: ExecutorLimits;
  readonly pending: PendingStep[] = [];
  /** First thing seen that no correct scheduler does. */
  violation: string | null = null;
  steps = 0;
  readonly #vocabSize: number;
  /** Per cache cell: 1 + token + position * vocabSize; 0: nothing. */
  readonly #cells: Float64Array;
  /** Per state slot: the tokens that its state has seen. */
  readonly #states: number[][];
  readonly #onBatch: (batch: StepBatch) => void;

  constructor(limits: ExecutorLimits, vocabSize: number, onBatch: (batch: StepBatch) => void = () => {}) {
    this.limits = limits;
    this.#vocabSize = vocabSize;
    this.#cells = new Float64Array(limits.kvBlocks * limits.blockSize);
    this.#states = Array.from({ length: limits.stateSlots }, () => []);
    this.#onBatch = onBatch;
  }

  execute(batch: StepBatch): Promise<StepOutput> {
    this.steps++;
    this.#onBatch(batch);
    this.#check(batch);
    return new Promise((resolve, reject) => {
      const step: PendingStep = {
        batch,
        voided: false,
        succeed: () => {
          this.#forget(step);
          this.#write(batch);
          this.#advanceStates(batch, step.voided);
          resolve(this.#output(batch, step.voided));
        },
        fail: (code) => {
          this.#forget(step);
          if (code === 'CACHE_LOST') this.#cells.fill(0);
          this.#states.forEach((state, slot) => {
            if (code === 'CACHE_LOST' || batch.stateSlots.includes(slot)) state.splice(0);
          });
          const lost = new Set(batch.blockTables);
          for (const other of this.pending) {
            other.voided ||= code === 'CACHE_LOST' || other.batch.blockTables.some((block) => lost.has(block));
          }
          for (const block of lost) {
            this.#cells.fill(0, block * this.limits.blockSize, (block + 1) * this.limits.blockSize);
          }
          reject(Object.assign(new Error(`step failed: ${code}`), { code }));
        },
      };
      this.pending.push(step);
    });
  }

  #forget(step: PendingStep): void {
    this.pending.splice(this.pending.indexOf(step), 1);
  }

  #violate(what: string): void {
    this.violation ??= what;
  }

  /** No block that a step in flight writes may be written or read by another. */
  #check(batch: StepBatch): void {
    const written = new Set<number>();
    for (const other of this.pending) for (const cell of this.#cellsOf(other.batch)) written.add(this.#blockOf(cell));
    const mine = this.#cellsOf(batch).map((cell) => this.#blockOf(cell));
    for (const block of batch.blockTables) {
      if (block < 0 || block >= this.limits.kvBlocks) this.#violate(`block ${block} does not exist`);
      if (written.has(block)) this.#violate(`block ${block} is written by a step in flight`);
    }
    for (const other of this.pending) {
      for (const block of mine)
        if (other.batch.blockTables.includes(block)) this.#violate(`block ${block} is read in flight`);
    }
    for (let s = 0; s + 1 < batch.blockOffsets.length; s++) {
      const end = batch.positions[batch.sequenceOffsets[s + 1]! - 1]! + 1;
      const blocks = batch.blockOffsets[s + 1]! - batch.blockOffsets[s]!;
      if (blocks !== Math.ceil(end / this.limits.blockSize)) this.#violate(`${blocks} blocks for ${end} positions`);
    }
    const slots = [...batch.stateSlots, ...this.pending.flatMap((other) => [...other.batch.stateSlots])];
    if (this.#states.length === 0) {
      if (slots.some((slot) => slot !== -1)) this.#violate(`slots ${slots.join()} where there is no state`);
    } else if (new Set(slots).size !== slots.length || slots.some((slot) => this.#states[slot] === undefined)) {
      this.#violate(`slots ${slots.join()} are shared or do not exist`);
    }
    if (new Set(this.#cellsOf(batch)).size !== batch.positions.length) this.#violate('a cell is written twice');
  }

  #blockOf(cell: number): number {
    return Math.floor(cell / this.limits.blockSize);
  }

  #cell(batch: StepBatch, sequence: number, position: number): number {
    const { blockSize } = this.limits;
    const block = batch.blockTables[batch.blockOffsets[sequence]! + Math.floor(position / blockSize)]!;
    return block * blockSize + (position % blockSize);
  }

  #cellsOf(batch: StepBatch): number[] {
    const cells: number[] = [];
    for (let s = 0; s + 1 < batch.sequenceOffsets.length; s++) {
      for (let row = batch.sequenceOffsets[s]!; row < batch.sequenceOffsets[s + 1]!; row++) {
        cells.push(this.#cell(batch, s, batch.positions[row]!));
      }
    }
    return cells;
  }

  #write(batch: StepBatch): void {
    this.#cellsOf(batch).forEach((cell, row) => {
      this.#cells[cell] = 1 + batch.tokenIds[row]! + batch.positions[row]! * this.#vocabSize;
    });
  }

  /** State goes on from where the sequence's rows begin, and begins again at position 0. */
  #advanceStates(batch: StepBatch, voided: boolean): void {
    if (this.#states.length === 0) return;
    batch.stateSlots.forEach((slot, sequence) => {
      const rows = [batch.sequenceOffsets[sequence]!, batch.sequenceOffsets[sequence + 1]!] as const;
      const state = this.#states[slot]!;
      const first = batch.positions[rows[0]]!;
      if (first === 0) state.splice(0);
      state.push(...batch.tokenIds.subarray(...rows));
      const history = this.#history(batch, sequence, batch.positions[rows[1] - 1]!, voided);
      if (!voided && state.join() !== history.join()) this.#violate(`slot ${slot} does not hold the sequence's state`);
    });
  }

  #history(batch: StepBatch, sequence: number, position: number, voided: boolean): number[] {
    return Array.from({ length: position + 1 }, (_, at) => {
      const value = this.#cells[this.#cell(batch, sequence, at)]! - 1 - at * this.#vocabSize;
      if (!voided && (value < 0 || value >= this.#vocabSize))
        this.#violate(`position ${at} of a sequence is not in its blocks`);
      return value;
    });
  }

  #output(batch: StepBatch, voided: boolean): StepOutput {
    const { rows, targets, logprobs, sampling, sequenceIndices, positions, outputTokens, promptTokens } = batch.logits;
    const tokens = new Int32Array(rows.length);
    const scores = new Float32Array(rows.length).fill(Number.NaN);
    rows.forEach((row, entry) => {
      let sequence = 0;
      while (batch.sequenceOffsets[sequence + 1]! <= row) sequence++;
      const position = batch.positions[row]!;
      const history = this.#history(batch, sequence, position, voided);
      if (positions[entry] !== position + 1)
        this.#violate(`logits position ${positions[entry]} of row position ${position}`);
      const [prompt, output] = [promptTokens[entry], outputTokens[entry]];
      if (!voided && prompt != null && output != null && [...prompt, ...output].join() !== history.join()) {
        this.#violate('penalty tokens are not the history');
      }
      const target = targets[entry]!;
      tokens[entry] =
        target >= 0
          ? target
          : nextToken(
              history,
              Number(sampling[entry]?.seed ?? 0),
              sampling[entry] ? sequenceIndices[entry]! : 0,
              this.#vocabSize,
            );
      if (logprobs[entry]! >= 0) scores[entry] = scoreOf(history, tokens[entry] ?? 0);
    });
    return {
      tokens,
      logprobs: scores,
      topOffsets: new Int32Array(rows.length + 1),
      topTokens: new Int32Array(0),
      topLogprobs: new Float32Array(0),
    };
  }
}
