/**
 * The whole boundary between TypeScript and the native addon, in the same names and order as the C++ binding.
 *
 * Every promise-returning call runs on the runtime's executor thread, in the order of the calls; loads run on threads of
 * their own beside it, several at a time. Inputs are copied before a call returns. Errors carry a
 * `code` (see NativeErrorCode), and those about one partial sum its index as `partial`. `close()` is idempotent, waits for
 * nothing, and frees the memory once the last call that uses it has ended; any other call after it fails with `CLOSED`.
 */
import type { ModelSpec__Output as ModelSpec } from '../proto/generated/conclave/v1/ModelSpec.ts';
import type { WeightsFormat } from '../proto/weights-formats.ts';

/**
 * What calculates: the CPU with the kernels of an instruction set, or `reference`, plain loops that say what the kernels compute,
 * for tests.
 */
export type Isa = 'portable' | 'avx2' | 'avx512' | 'reference';

/** Encoding of activations that cross the boundary. */
export type ActivationType = 'f32' | 'bf16';

/**
 * Encoding of partial sums that cross the boundary, little-endian: how many steps of its row's grid each element is. i24
 * and i32 are integers; f64 holds those that are larger, and what is not finite. The narrowest that holds them all is
 * used, and none changes a sum.
 */
export type PartialType = 'i24' | 'i32' | 'f64';

/** Stable codes of native errors. */
export type NativeErrorCode =
  | 'CLOSED'
  | 'INVALID_ARGUMENT'
  | 'CORRUPT_CHECKPOINT'
  | 'UNSUPPORTED'
  | 'SLOT_NOT_LOADED'
  | 'NON_FINITE'
  | 'OUT_OF_MEMORY'
  /** The device computes no more in this process. */
  | 'DEVICE_LOST'
  | 'IO'
  | 'INTERNAL';

export interface Hardware {
  /** Best instruction set of this machine. */
  readonly isa: Isa;
  /** All instruction sets that run here, portable first. */
  readonly isas: readonly Isa[];
  /** Logical CPUs that this process may use. */
  readonly cpus: number;
  /** Names of the extensions that kernels use where present, such as "avx512_bf16", "avx512_vnni". */
  readonly extensions: readonly string[];
  /** Every name of WeightsFormat. */
  readonly weightsFormats: readonly string[];
}

/** Kernels that compute on GPUs: a library beside the addon. "cuda-emulated" runs them on the CPU, for tests. */
export type GpuLibrary = 'cuda' | 'cuda-emulated';

export interface Gpu {
  /** Such as "cuda:0". */
  readonly id: string;
  /** Such as "NVIDIA H200". */
  readonly name: string;
  /** Such as "9.0". */
  readonly computeCapability: string;
  readonly totalBytes: number;
  readonly multiprocessors: number;
  /** Of shared memory that a block may ask for. */
  readonly sharedBytesPerBlock: number;
}

export interface RuntimeOptions {
  /** Compute threads, the executor included. */
  readonly threads: number;
  /**
   * Null: the best of this machine. With "-bf16", bf16 weights are multiplied by activations that are rounded to bf16 too,
   * as avx512 does by itself on processors where that is faster; avx512-bf16 needs the extension, portable-bf16 nothing.
   */
  readonly isa: Isa | 'portable-bf16' | 'avx512-bf16' | null;
  /** "cpu", or the id of a GPU (a library's name: its first one), whose `isa` is null. Absent or null: cpu. */
  readonly device?: string | null;
}

/** A thread pool, an executor thread, and the kernels that run on them. */
export interface Runtime {
  readonly threads: number;
  /** Of a GPU: the name of its kernels. */
  readonly isa: Isa;
  /** What its weights can be kept in. */
  readonly weightsFormats: readonly WeightsFormat[];
  close(): void;
}

/** What a machine does at most: reads of memory that no cache holds, and multiply-adds in registers. */
export interface MachineLimits {
  readonly readBytesPerSecond: number;
  /** By kind of instruction, such as "f32 FMA, 512 bits". */
  readonly arithmetic: readonly { readonly name: string; readonly multiplyAddsPerSecond: number }[];
}

export interface WeightStoreOptions {
  /** Checkpoint folder; ModelSpec.files are relative to it. */
  readonly directory: string;
  readonly spec: ModelSpec;
  readonly weights: WeightsFormat;
}

/** An open checkpoint. Reads no tensor by itself. */
export interface WeightStore {
  readonly weights: WeightsFormat;
  close(): void;
}

/**
 * Bytes done and bytes in all of a part; called at most about ten times a second, and once at the part's end. The cache of a
 * stage or rank follows its weights.
 */
export type OnProgress = (doneBytes: number, totalBytes: number, part: 'weights' | 'cache') => void;

/** One physical expert: a slice of a logical expert's intermediate dimension. */
export interface ExpertSlot {
  readonly layer: number;
  readonly expert: number;
  /** 0 ≤ slice < slices; slices is 1 unless expert tensor parallelism is on. All slots of a layer in a bank have equal `slices`. */
  readonly slice: number;
  readonly slices: number;
}

export interface LoadedSlot extends ExpertSlot {
  /** CRC-32 (ISO-HDLC, as zlib computes it) of the slot's bytes in the checkpoint: gate, up and down, in that order. */
  readonly checksum: number;
  /** Bytes that the slot takes in memory. */
  readonly bytes: number;
}

/**
 * Expert rows: for each row, the expert slices it needs here and their gate weights.
 * topkIds[r * topK + j] = logical expert * slices + slice, or -1 for an entry to skip.
 *
 * Every term of row r's sum is rounded to a multiple of 2^grid[r], so that terms add exactly: the sum has the same bits
 * whichever shards add up which of them. The stage derives the grid from the row alone.
 */
export interface ExpertRows {
  readonly layer: number;
  readonly rowCount: number;
  readonly type: ActivationType;
  /** Normalised activations, [rowCount, hidden]. */
  readonly rows: Uint8Array;
  /** [rowCount]. */
  readonly grid: Int32Array;
  readonly topK: number;
  /** [rowCount, topK]. */
  readonly topkIds: Int32Array;
  /** [rowCount, topK]. */
  readonly topkWeights: Float32Array;
}

/** Partial sums, [rowCount, hidden]. */
export interface EncodedTotals {
  readonly type: PartialType;
  readonly partial: Uint8Array;
}

/** Routed experts: stateless, so any bank that has loaded a slot gives the same answer. */
export interface ExpertBank {
  /**
   * Loads slots in the background, checking for finite weights; those that are loaded already are kept. A slot can be used
   * as soon as the promise settles. After an error some of the slots may be loaded.
   */
  load(slots: readonly ExpertSlot[], onProgress: OnProgress | null): Promise<readonly LoadedSlot[]>;
  /** Frees slots once no call uses them. Slots that are not loaded are ignored. */
  unload(slots: readonly ExpertSlot[]): void;
  has(slot: ExpertSlot): boolean;
  /** Weighted sums of the named experts. SLOT_NOT_LOADED names a missing slot. */
  forward(rows: ExpertRows): Promise<EncodedTotals>;
  readonly slotCount: number;
  readonly bytes: number;
  close(): void;
}

/** A tensor-parallel slice of a range of layers. */
export interface RankSlice {
  readonly firstLayer: number;
  readonly endLayer: number;
  /** What it holds of every operator of those layers; see Share in plan.proto. */
  readonly share: OperatorShare;
}

/** The fraction [begin, end) / parts. */
export interface OperatorShare {
  readonly begin: number;
  readonly end: number;
  readonly parts: number;
}

export interface CacheOptions {
  /** Blocks of the paged cache; 0 ≤ block id < kvBlocks. */
  readonly kvBlocks: number;
  /** Positions per block. */
  readonly blockSize: number;
  /** Sequences whose state of fixed size is kept; 0 ≤ slot < stateSlots. 0 for a model that keeps none. */
  readonly stateSlots: number;
}

/** Where rows stand in their sequences: rows of a sequence are consecutive, in order of position. */
export interface SequenceRows {
  /** [rows]. */
  readonly positions: Int32Array;
  /** First row of each sequence, [sequences + 1]. */
  readonly sequenceOffsets: Int32Array;
  /** Cache blocks of all sequences; block i of a sequence holds positions [i * blockSize, (i + 1) * blockSize). */
  readonly blockTables: Int32Array;
  /** First entry of each sequence in blockTables, [sequences + 1]. */
  readonly blockOffsets: Int32Array;
  /**
   * Slot of each sequence's state of fixed size, [sequences]; -1 where none is kept. A state begins with zeros at position 0;
   * rows that do not follow those that it has seen are refused.
   */
  readonly stateSlots: Int32Array;
}

/** A rank other than 0 of a stage: slices of heads with their cache, and of dense parts. Owns no residual stream. */
export interface RankShard {
  /** Partial sums of attention, or of what the layer has instead; reads no experts of `rows`. Keeps what later rows need. */
  attention(rows: ExpertRows, where: SequenceRows): Promise<EncodedTotals>;
  /**
   * Partial sums of the layer's dense or shared feed-forward part, and of the experts that `rows` names where topK > 0:
   * those of `bank`, which has the same weight store.
   */
  ffn(rows: ExpertRows, bank: ExpertBank | null): Promise<EncodedTotals>;
  readonly bytes: number;
  close(): void;
}

export interface StageOptions extends RankSlice, CacheOptions {
  /** Targets (> 0) that hold the other tensor-parallel ranks of this stage; every row goes to each of them. */
  readonly rankTargets: readonly number[];
  /** Encoding of dispatched rows; experts of the stage's own bank get rows that are rounded alike. */
  readonly dispatchType: ActivationType;
}

/**
 * Where a layer's experts run. Replicas of slice id s are targets[offsets[s]] … targets[offsets[s + 1] - 1]: 0 is the
 * stage's own bank, others are the caller's numbers for remote workers. A slice with no replica is dispatched to target -1:
 * the caller must find an answer itself. Rows of a slice go to one replica; busier replicas (load / share) get fewer.
 */
export interface ExpertRoute {
  readonly slices: number;
  /** [experts * slices + 1]. */
  readonly offsets: Int32Array;
  readonly targets: Int32Array;
  /** Relative capacity of each entry of targets; > 0. */
  readonly shares: Float32Array;
}

/** How one row's token is drawn. Randomness is a pure function of (seed, sequenceIndex, position). */
export interface NativeSampling {
  /** 0: greedy. */
  readonly temperature: number;
  /** 0: all. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** In [0, 2^64). */
  readonly seed: bigint;
  readonly biasTokens: Int32Array;
  /** Same length as biasTokens. */
  readonly biasValues: Float32Array;
}

/** Rows whose logits are wanted; all arrays have one entry per wanted row. */
export interface LogitsRows {
  /** Row of the batch; ascending. */
  readonly rows: Int32Array;
  /** ≥ 0: score this token instead of sampling one. -1: sample. */
  readonly targets: Int32Array;
  /** Alternatives to return besides the token's own log-probability; -1: no log-probabilities at all. */
  readonly logprobs: Int32Array;
  /** Null: greedy without penalties or bias. */
  readonly sampling: readonly (NativeSampling | null)[];
  /** Position of the sampled token in its sequence. */
  readonly positions: Int32Array;
  /** Index of the sequence among its request's n. */
  readonly sequenceIndices: Int32Array;
  /** Tokens of the prompt, in any order, once or more; read only where sampling has a repetition penalty. Null: none. */
  readonly promptTokens: readonly (Int32Array | null)[];
  /** Tokens generated before; read only where sampling has a penalty, and by filters. Null: none. */
  readonly outputTokens: readonly (Int32Array | null)[];
  /** Which tokens may come: a sequence's own filter, or a mask of one bit a token. Null: all. */
  readonly filters: readonly (TokenFilter | Uint32Array | null)[];
}

/** The bytes that each token stands for. */
export interface VocabularyOptions {
  /** Of all tokens, one after the other. */
  readonly bytes: Uint8Array;
  /** First byte of each token, [tokens + 1]. */
  readonly offsets: Int32Array;
  /** 1 for tokens that are no text, [tokens]. */
  readonly special: Uint8Array;
}

export interface Vocabulary {
  close(): void;
}

/** Grammar in stage.proto: integer arrays are i32, little-endian. */
export interface GrammarTables {
  readonly rules: Uint8Array;
  readonly edgeOffsets: Uint8Array;
  readonly edges: Uint8Array;
  readonly final: Uint8Array;
  readonly plainRuns: Uint8Array;
}

/** A grammar and what is remembered of its masks; for any number of filters. */
export interface Grammar {
  close(): void;
}

export interface TokenFilterOptions {
  /** What the text may be. Null: anything. */
  readonly grammar: Grammar | null;
  readonly vocabularySize: number;
  /** Tokens that end a sequence; a grammar allows them where the text may end. */
  readonly endTokens: Int32Array;
  /** The only tokens that may come; empty: all. */
  readonly allowedTokens: Int32Array;
  /** Runs of tokens whose last one may not come behind the others. */
  readonly badWords: readonly Int32Array[];
  /** Before as many tokens none of endTokens comes, unless nothing else may. */
  readonly minTokens: number;
}

/** What one sequence may say next. Follows the sequence's tokens, whichever it is shown; steps of a sequence do not overlap. */
export interface TokenFilter {
  /** Which tokens may come after these, one bit each; null: all. Runs beside the executor. */
  mask(outputTokens: Int32Array): Promise<Uint32Array | null>;
  /** Whether the text was whole when the mask was last made: a sequence that may have no further token ends well. */
  readonly complete: boolean;
  close(): void;
}

export interface StepBatch extends SequenceRows {
  /** Token ids, [rows]; read by the stage that has the first layer, and where tokens pick experts. */
  readonly tokenIds: Int32Array;
  /** Residual from the stage before, f32 [rows, streams * hidden]; null at the first stage. */
  readonly hidden: Uint8Array | null;
  /** Read by the stage that has the last layer. */
  readonly logits: LogitsRows;
}

/** Results for the wanted rows, in order; a token of -1: none may come. Alternatives of entry i: [topOffsets[i], topOffsets[i + 1]), best first. */
export interface StepOutput {
  readonly tokens: Int32Array;
  /** Natural log-probabilities of `tokens` before masks, temperature and filters; NaN where none was asked for. */
  readonly logprobs: Float32Array;
  readonly topOffsets: Int32Array;
  readonly topTokens: Int32Array;
  readonly topLogprobs: Float32Array;
}

/** Rows of one micro-batch for one remote worker at one layer. */
export interface Dispatch {
  /** Place in the list. */
  readonly index: number;
  /** From rankTargets or ExpertRoute.targets; -1: experts without a replica. */
  readonly target: number;
  /** Row of the batch of each dispatched row, [rowCount], ascending. */
  readonly rowIndices: Int32Array;
  /** Run the target's dense slice for every row (rank targets only). */
  readonly dense: boolean;
  /** Rows, and with topK > 0 their experts. */
  readonly experts: ExpertRows;
}

/** The answer to a dispatch, or to a part of it when the caller split it. The order of the answers does not matter. */
export interface PartialSum extends EncodedTotals {
  /** Row of the batch of each row of `partial`, [rowCount]. */
  readonly rowIndices: Int32Array;
}

export type StepProgress =
  | {
      /** Remote shards are needed: send the dispatches, then resume. Local shards of the layer run meanwhile. */
      readonly kind: 'dispatch';
      readonly step: number;
      readonly layer: number;
      readonly operator: 'attention' | 'ffn';
      readonly dispatches: readonly Dispatch[];
    }
  | {
      /** The residual for the next stage, f32 [rows, streams * hidden]. */
      readonly kind: 'hidden';
      readonly hidden: Uint8Array;
    }
  | { readonly kind: 'output'; readonly output: StepOutput };

/** Rows per expert since the last call, [layers of the stage][experts]; an empty array for a dense layer. */
export type ExpertRowCounts = readonly Uint32Array[];

/** Owner of the residual stream for a contiguous range of layers: tensor-parallel rank 0. */
export interface Stage {
  /** Starts a micro-batch. When everything is local this is the whole step, in one call. Several may be in flight. */
  begin(batch: StepBatch): Promise<StepProgress>;
  /** Goes on after a dispatch: adds the partial sums (checked for shape and finiteness) and runs to the next one or the end. */
  resume(step: number, partials: readonly PartialSum[]): Promise<StepProgress>;
  /** Forgets a micro-batch that will not be resumed. */
  abort(step: number): void;
  /** Takes effect for micro-batches begun afterwards. */
  setRoute(layer: number, route: ExpertRoute): void;
  takeExpertRows(): ExpertRowCounts;
  /** Seconds spent since the last call, by part: "attention", "experts", "head", … */
  takeProfile(): Readonly<Record<string, number>>;
  /** Bytes of weights and of cache. */
  readonly weightBytes: number;
  readonly cacheBytes: number;
  close(): void;
}

/** What the addon exports. */
export interface Native {
  hardware(): Hardware;
  /** GPUs that the kernels run on. Throws UNSUPPORTED where the library, a driver or a device is missing, and says which. */
  gpus(library: GpuLibrary): readonly Gpu[];
  /** Bytes that are free there. Takes a context of the GPU, which has hundreds of megabytes itself. */
  gpuFreeBytes(id: string): number;
  /** Measures with all threads of the runtime; takes about a second of its executor. */
  measureLimits(runtime: Runtime): Promise<MachineLimits>;
  createRuntime(options: RuntimeOptions): Runtime;
  openWeights(runtime: Runtime, options: WeightStoreOptions): Promise<WeightStore>;
  /** Bytes that the cache of a rank takes; the load of the rank takes them all at once. */
  cacheBytes(store: WeightStore, options: RankSlice & CacheOptions): number;
  createExpertBank(runtime: Runtime, store: WeightStore): ExpertBank;
  createRankShard(
    runtime: Runtime,
    store: WeightStore,
    options: RankSlice & CacheOptions,
    onProgress: OnProgress | null,
  ): Promise<RankShard>;
  createStage(
    runtime: Runtime,
    store: WeightStore,
    bank: ExpertBank,
    options: StageOptions,
    onProgress: OnProgress | null,
  ): Promise<Stage>;
  /** Rejects with INVALID_ARGUMENT. */
  createVocabulary(runtime: Runtime, options: VocabularyOptions): Promise<Vocabulary>;
  /** Throws INVALID_ARGUMENT for tables that are no grammar of the vocabulary. */
  createGrammar(vocabulary: Vocabulary, tables: GrammarTables): Grammar;
  createTokenFilter(runtime: Runtime, options: TokenFilterOptions): TokenFilter;
}
