import type { Dispatch, ExpertBank, ExpertRows, PartialSum, StepProgress } from '../../native/native.ts';
import type { AttentionRows } from '../../proto/generated/conclave/v1/AttentionRows.ts';
import type { ForwardResponse__Output as ForwardResponse } from '../../proto/generated/conclave/v1/ForwardResponse.ts';
import { RankLost, ShardFailure } from '../wire/failure.ts';
import type { UnsentRequest } from '../wire/frame.ts';
import type { ColdExperts } from './cold-experts.ts';
import { partialTypeOf, partialTypes } from './partial-type.ts';
import { type LayerReplicas, LOCAL_TARGET, NO_TARGET, pickReplica, type TargetHealth } from './replicas.ts';
import { type RoutedRows, rerouteRows } from './reroute.ts';

/** A remote worker as dispatches see it. */
export interface DispatchTarget {
  readonly id: string;
  /** Deadline for `rows` rows, in milliseconds. */
  deadlineMs(rows: number): number;
  /** Settles with the answer or a ShardFailure within the deadline; keeps the target's health. */
  forward(request: UnsentRequest, deadlineMs: number, rows: number): Promise<ForwardResponse>;
  /** Records an answer that was rejected after it came. */
  reject(failure: ShardFailure): void;
}

export interface DispatchObserver {
  onAnswer(peer: string, layer: number, rows: number, bytes: number, elapsedMs: number): void;
  onRetry(failure: ShardFailure, layer: number, rows: number): void;
  onHedge(peer: string, layer: number): void;
  onColdRows(layer: number, rows: number): void;
}

export interface DispatcherOptions {
  /** Id of the pipeline that the stage is part of. */
  readonly pipeline: string;
  /** Elements of a row: of the residual stream, and as experts of a layer read and give it. */
  readonly hidden: number;
  readonly expertWidth: (layer: number) => number;
  readonly target: (target: number) => DispatchTarget | undefined;
  readonly replicas: (layer: number) => LayerReplicas;
  readonly health: TargetHealth;
  /** The stage's own slots: target 0. */
  readonly bank: ExpertBank;
  /** Answers for slices that no replica can. */
  readonly cold: ColdExperts;
  readonly observer: DispatchObserver;
  /** Milliseconds that a tensor-parallel rank may take: long, since nobody else can answer. */
  readonly rankDeadlineMs: number;
  /** Milliseconds after which an expert dispatch is also sent to another replica; null: never. */
  readonly hedgeMs: number | null;
}

type DispatchStep = Extract<StepProgress, { kind: 'dispatch' }>;

/** A partial sum and the worker that made it, so that a poisoned one can be blamed and asked for again. */
export interface SourcedPartial extends PartialSum {
  /** Counts the answer as a failure of its worker and asks other replicas for the same rows; null when nobody else has them. */
  readonly again: ((failure: ShardFailure) => Promise<readonly SourcedPartial[]>) | null;
  readonly peer: string;
}

/**
 * Sends a step's dispatches and gathers their partial sums. A dispatch that fails goes to other replicas of its experts,
 * row by row where they differ; experts without one are computed here from the checkpoint. Only a tensor-parallel rank,
 * whose cache nobody else has, cannot be replaced.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** Answers all dispatches of a step, each from one worker or several. Rejects with RankLost, or when the checkpoint fails too. */
  async collect(
    step: DispatchStep,
    epoch: number,
    attention: AttentionRows | null,
  ): Promise<readonly SourcedPartial[]> {
    const answers = step.dispatches.map((dispatch) =>
      dispatch.dense || step.operator === 'attention'
        ? this.#askRank(step, dispatch, epoch, attention)
        : this.#askExperts(dispatch, epoch, new Set()),
    );
    return (await Promise.all(answers)).flat();
  }

  async #askRank(
    step: DispatchStep,
    dispatch: Dispatch,
    epoch: number,
    attention: AttentionRows | null,
  ): Promise<readonly SourcedPartial[]> {
    const target = this.#options.target(dispatch.target);
    if (target === undefined) throw new RankLost(`#${dispatch.target}`, { cause: new Error('is not connected') });
    const request = this.#request(dispatch.experts, epoch, dispatch.dense, step.operator === 'attention', attention);
    const { rankDeadlineMs } = this.#options;
    const { experts, rowIndices } = dispatch;
    try {
      return [await this.#ask(target, request, experts, rowIndices, rankDeadlineMs, null)];
    } catch (error) {
      const both = dispatch.dense && experts.topK > 0;
      if (!both || !(error instanceof ShardFailure) || error.code !== 'REFUSED') {
        throw new RankLost(target.id, { cause: error });
      }
      // The rank may be well and only an expert gone from it: the experts go elsewhere, the dense part is asked for alone.
      const denseOnly = { ...experts, topK: 0, topkIds: new Int32Array(0), topkWeights: new Float32Array(0) };
      const [dense, rest] = await Promise.all([
        this.#askRank(step, { ...dispatch, experts: denseOnly }, epoch, attention),
        this.#reroute({ target: dispatch.target, rowIndices, experts }, epoch, new Set([dispatch.target]), error),
      ]);
      return [...dense, ...rest];
    }
  }

  async #askExperts(
    rows: RoutedRows,
    epoch: number,
    excluded: ReadonlySet<number>,
  ): Promise<readonly SourcedPartial[]> {
    if (rows.target === LOCAL_TARGET || rows.target === NO_TARGET) return [await this.#compute(rows)];
    const target = this.#options.target(rows.target);
    const { hedgeMs } = this.#options;
    const request = this.#request(rows.experts, epoch, false, false, null);
    const elsewhere = (failure: ShardFailure): Promise<readonly SourcedPartial[]> =>
      this.#reroute(rows, epoch, new Set([...excluded, rows.target]), failure);
    if (target === undefined) {
      return elsewhere(new ShardFailure('PEER_LOST', `#${rows.target}`, 'is not connected'));
    }
    // It failed after the batch was begun, with routes that still lead there: do not wait for it again.
    if (!this.#options.health.usable(rows.target)) {
      return elsewhere(new ShardFailure('PEER_LOST', target.id, 'is out after a failure'));
    }
    try {
      const deadlineMs = target.deadlineMs(rows.experts.rowCount);
      const again = (failure: ShardFailure): Promise<readonly SourcedPartial[]> => {
        target.reject(failure);
        return elsewhere(failure);
      };
      const asked = this.#ask(target, request, rows.experts, rows.rowIndices, deadlineMs, again);
      if (hedgeMs === null) return [await asked];
      const answer = asked.then((partial) => [partial]);
      return await this.#hedge(answer, hedgeMs, rows, epoch, excluded, target.id);
    } catch (error) {
      if (!(error instanceof ShardFailure)) throw error;
      return elsewhere(error);
    }
  }

  /** Past the hedge deadline the same rows also go to the other replicas; the first whole answer counts. */
  async #hedge(
    answer: Promise<readonly SourcedPartial[]>,
    hedgeMs: number,
    rows: RoutedRows,
    epoch: number,
    excluded: ReadonlySet<number>,
    peer: string,
  ): Promise<readonly SourcedPartial[]> {
    const { observer } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), hedgeMs);
    });
    const first = await Promise.race([answer, late]).finally(() => clearTimeout(timer));
    if (first !== 'late') return first;
    const others = this.#elsewhere(rows, new Set([...excluded, rows.target]));
    if (others.some((other) => other.target === NO_TARGET)) return answer;
    observer.onHedge(peer, rows.experts.layer);
    const tried = new Set([...excluded, rows.target]);
    const hedged = Promise.all(others.map((other) => this.#askExperts(other, epoch, tried))).then((all) => all.flat());
    return Promise.any([answer, hedged]).catch((error: AggregateError) => {
      throw error.errors[0];
    });
  }

  async #reroute(
    rows: RoutedRows,
    epoch: number,
    excluded: ReadonlySet<number>,
    failure: ShardFailure,
  ): Promise<readonly SourcedPartial[]> {
    this.#options.observer.onRetry(failure, rows.experts.layer, rows.experts.rowCount);
    const others = this.#elsewhere(rows, excluded);
    return (await Promise.all(others.map((other) => this.#askExperts(other, epoch, excluded)))).flat();
  }

  #elsewhere(rows: RoutedRows, excluded: ReadonlySet<number>): readonly RoutedRows[] {
    const replicas = this.#options.replicas(rows.experts.layer);
    return rerouteRows(rows.experts, rows.rowIndices, (sliceId) =>
      pickReplica(replicas, sliceId, excluded, this.#options.health),
    );
  }

  async #compute(rows: RoutedRows): Promise<SourcedPartial> {
    const { bank, cold, observer } = this.#options;
    const { layer, rowCount } = rows.experts;
    if (rows.target === NO_TARGET) observer.onColdRows(layer, rowCount);
    const totals = await (rows.target === LOCAL_TARGET
      ? bank.forward(rows.experts)
      : cold.forward(rows.experts, this.#options.replicas(layer).slices));
    return { rowIndices: rows.rowIndices, ...totals, again: null, peer: 'local' };
  }

  async #ask(
    target: DispatchTarget,
    request: UnsentRequest,
    experts: ExpertRows,
    rowIndices: Int32Array,
    deadlineMs: number,
    again: SourcedPartial['again'],
  ): Promise<SourcedPartial> {
    const { hidden, expertWidth, observer } = this.#options;
    const started = performance.now();
    const response = await target.forward(request, deadlineMs, experts.rowCount);
    const known = Number(request.epoch ?? 0);
    if (response.epoch < known) {
      // Every worker of a plan knows it before it is in force: this one is cut off from the bus, or not what it says.
      return this.#refuse(target, `answered under plan ${response.epoch}; plan ${known} is in force`);
    }
    const type = partialTypeOf(response.dtype);
    const width = experts.topK > 0 && request.dense !== true ? expertWidth(experts.layer) : hidden;
    const elements = experts.rowCount * width;
    const wellFormed = type !== undefined && response.partial.byteLength === elements * partialTypes[type].bytes;
    if (!wellFormed || response.rowCount !== experts.rowCount) {
      return this.#refuse(
        target,
        `answered ${response.rowCount} rows in ${response.partial.byteLength} bytes of ${response.dtype}; ` +
          `expected ${experts.rowCount} rows of ${width} elements of I24, I32 or F64`,
      );
    }
    observer.onAnswer(
      target.id,
      experts.layer,
      experts.rowCount,
      experts.rows.byteLength + response.partial.byteLength,
      performance.now() - started,
    );
    return { rowIndices, type, partial: response.partial, again, peer: target.id };
  }

  #refuse(target: DispatchTarget, problem: string): never {
    const failure = new ShardFailure('POISONED', target.id, problem);
    target.reject(failure);
    throw failure;
  }

  /** Written in one piece: merging objects costs more than sending one row. */
  #request(
    experts: ExpertRows,
    epoch: number,
    dense: boolean,
    isAttention: boolean,
    attention: AttentionRows | null,
  ): UnsentRequest {
    return {
      epoch,
      pipeline: this.#options.pipeline,
      layer: experts.layer,
      operator: isAttention ? 'OPERATOR_ATTENTION' : 'OPERATOR_FFN',
      dtype: experts.type === 'f32' ? 'DATA_TYPE_F32' : 'DATA_TYPE_BF16',
      rowCount: experts.rowCount,
      rows: bytesOf(experts.rows),
      topK: experts.topK,
      topkIds: bytesOf(experts.topkIds),
      topkWeights: bytesOf(experts.topkWeights),
      dense,
      attention: isAttention ? attention : null,
      grid: bytesOf(experts.grid),
    };
  }
}

function bytesOf(array: Uint8Array | Int32Array | Float32Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}
