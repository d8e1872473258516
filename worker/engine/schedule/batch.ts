import type { NativeSampling, StepBatch, TokenFilter } from '../../../native/native.ts';
import type { EngineLimits } from '../request/limits.ts';
import type { Sequence } from './sequence.ts';

/**
 * One step's batch while it is built, in flight and delivered. Its arrays are made once and used for many steps; the
 * StepBatch given out is a view of them, so it must not be built again before the step has returned.
 */
export class StepPlan {
  readonly sequences: Sequence[] = [];
  /** Per sequence: its rows, the end of its entries among the wanted logits, whether the last of those is sampled, and
   * whether prompt scoring begins with this step. */
  readonly rowCounts: Int32Array;
  readonly logitsEnds: Int32Array;
  readonly sampled: Uint8Array;
  readonly scoringBegins: Uint8Array;
  /** Set when the step has returned: nothing of this sequence's results counts. */
  readonly dropped: Uint8Array;
  rows = 0;
  decodeRows = 0;

  readonly #blockSize: number;
  readonly #tokenIds: Int32Array;
  readonly #positions: Int32Array;
  readonly #sequenceOffsets: Int32Array;
  #blockTables = new Int32Array(1024);
  readonly #blockOffsets: Int32Array;
  readonly #stateSlots: Int32Array;
  #logitsCount = 0;
  readonly #logitsRows: Int32Array;
  readonly #targets: Int32Array;
  readonly #logprobs: Int32Array;
  readonly #sampledPositions: Int32Array;
  readonly #sequenceIndices: Int32Array;
  readonly #sampling: (NativeSampling | null)[] = [];
  readonly #promptTokens: (Int32Array | null)[] = [];
  readonly #outputTokens: (Int32Array | null)[] = [];
  readonly #filters: (TokenFilter | null)[] = [];

  constructor(limits: EngineLimits, blockSize: number) {
    const { maxSequences, maxBatchedTokens } = limits;
    this.#blockSize = blockSize;
    this.rowCounts = new Int32Array(maxSequences);
    this.logitsEnds = new Int32Array(maxSequences);
    this.sampled = new Uint8Array(maxSequences);
    this.scoringBegins = new Uint8Array(maxSequences);
    this.dropped = new Uint8Array(maxSequences);
    this.#tokenIds = new Int32Array(maxBatchedTokens);
    this.#positions = new Int32Array(maxBatchedTokens);
    this.#sequenceOffsets = new Int32Array(maxSequences + 1);
    this.#blockOffsets = new Int32Array(maxSequences + 1);
    this.#stateSlots = new Int32Array(maxSequences);
    this.#logitsRows = new Int32Array(maxBatchedTokens);
    this.#targets = new Int32Array(maxBatchedTokens);
    this.#logprobs = new Int32Array(maxBatchedTokens);
    this.#sampledPositions = new Int32Array(maxBatchedTokens);
    this.#sequenceIndices = new Int32Array(maxBatchedTokens);
  }

  /** Whether some sequence may have no token that may come next. */
  get filtered(): boolean {
    return this.#filters.some((filter) => filter !== null);
  }

  get logitsCount(): number {
    return this.#logitsCount;
  }

  /** Adds the next `rows` pending tokens of a sequence whose table covers them. */
  add(sequence: Sequence, rows: number): void {
    const at = this.sequences.length;
    const start = sequence.computed;
    const end = start + rows;
    this.sequences.push(sequence);
    this.rowCounts[at] = rows;
    this.dropped[at] = 0;
    sequence.copyTokens(start, end, this.#tokenIds, this.rows);
    for (let i = 0; i < rows; i++) this.#positions[this.rows + i] = start + i;
    this.#stateSlots[at] = sequence.cache.stateSlot;
    this.#addBlocks(at, sequence, Math.ceil(end / this.#blockSize));
    this.#addLogits(at, sequence, start, end);
    this.rows += rows;
    if (sequence.pending === 1) this.decodeRows++;
    this.#sequenceOffsets[at + 1] = this.rows;
  }

  /** The batch as the executor takes it. */
  batch(): StepBatch {
    const count = this.sequences.length;
    const logits = this.#logitsCount;
    return {
      tokenIds: this.#tokenIds.subarray(0, this.rows),
      hidden: null,
      positions: this.#positions.subarray(0, this.rows),
      sequenceOffsets: this.#sequenceOffsets.subarray(0, count + 1),
      blockTables: this.#blockTables.subarray(0, this.#blockOffsets[count]),
      blockOffsets: this.#blockOffsets.subarray(0, count + 1),
      stateSlots: this.#stateSlots.subarray(0, count),
      logits: {
        rows: this.#logitsRows.subarray(0, logits),
        targets: this.#targets.subarray(0, logits),
        logprobs: this.#logprobs.subarray(0, logits),
        sampling: this.#sampling,
        positions: this.#sampledPositions.subarray(0, logits),
        sequenceIndices: this.#sequenceIndices.subarray(0, logits),
        promptTokens: this.#promptTokens,
        outputTokens: this.#outputTokens,
        filters: this.#filters,
      },
    };
  }

  /** Empties the plan for the next step. */
  clear(): void {
    this.sequences.length = 0;
    this.#sampling.length = 0;
    this.#promptTokens.length = 0;
    this.#outputTokens.length = 0;
    this.#filters.length = 0;
    this.rows = 0;
    this.decodeRows = 0;
    this.#logitsCount = 0;
  }

  #addBlocks(at: number, sequence: Sequence, count: number): void {
    const offset = this.#blockOffsets[at]!;
    if (offset + count > this.#blockTables.length) {
      const grown = new Int32Array(Math.max(offset + count, this.#blockTables.length * 2));
      grown.set(this.#blockTables);
      this.#blockTables = grown;
    }
    const { ids } = sequence.cache.table;
    if (count > 32) this.#blockTables.set(ids.subarray(0, count), offset);
    else for (let i = 0; i < count; i++) this.#blockTables[offset + i] = ids[i]!;
    this.#blockOffsets[at + 1] = offset + count;
  }

  #addLogits(at: number, sequence: Sequence, start: number, end: number): void {
    const { request, scored } = sequence;
    this.scoringBegins[at] = scored === 0 ? 1 : 0;
    if (scored !== null) {
      const scoredEnd = Math.min(end, request.prompt.length - 1);
      for (let position = Math.max(start, scored); position < scoredEnd; position++) {
        this.#want(sequence, position - start, position, request.prompt[position + 1]!, request.promptLogprobs, false);
      }
    }
    const samples = end === sequence.length && sequence.wantsToken;
    if (samples) this.#want(sequence, end - 1 - start, end - 1, -1, request.logprobs, request.penalised);
    this.sampled[at] = samples ? 1 : 0;
    this.logitsEnds[at] = this.#logitsCount;
  }

  #want(sequence: Sequence, row: number, position: number, target: number, logprobs: number, penalised: boolean): void {
    const entry = this.#logitsCount++;
    this.#logitsRows[entry] = this.rows + row;
    this.#targets[entry] = target;
    this.#logprobs[entry] = logprobs;
    this.#sampledPositions[entry] = position + 1;
    this.#sequenceIndices[entry] = sequence.index;
    this.#sampling.push(target === -1 ? sequence.request.sampling : null);
    this.#promptTokens.push(penalised ? sequence.request.prompt : null);
    const filter = target === -1 ? sequence.filter : null;
    this.#outputTokens.push(penalised || filter !== null ? sequence.outputs() : null);
    this.#filters.push(filter);
  }
}
