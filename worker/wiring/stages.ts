import { randomInt } from 'node:crypto';
import type { ChannelCredentials, Metadata } from '@grpc/grpc-js';
import type { VocabularyOptions } from '../../native/native.ts';
import { expertWidth } from '../../proto/model/operators.ts';
import type { KnownModel } from '../agent/served-model.ts';
import type { WorkerAgent } from '../agent/worker-agent.ts';
import { NativeTokenFilters, type TokenFilters } from '../engine/request/token-filters.ts';
import { ColdExperts } from '../shard/cold-experts.ts';
import type { Targets } from '../shard/targets.ts';
import { checkCacheBytes, plannedBytes } from '../stage/cache-size.ts';
import type { SeatOptions } from '../stage/seat-options.ts';
import { StageHost } from '../stage/stage-host.ts';
import type { Closers } from './closers.ts';
import type { NativeParts } from './native-parts.ts';
import type { Observers } from './observers.ts';

export interface StageOptions {
  /** Id of this worker. */
  readonly id: string;
  readonly memoryBytes: number;
  /** For connections to other workers. */
  readonly credentials: ChannelCredentials;
  readonly hedgeMs: number | null;
  readonly overlapRows: number;
  /** Whether requests reuse the cache blocks of prompts that begin alike. Default true. */
  readonly prefixCaching?: boolean;
  /** The bytes of the checkpoint's tokens, for constraints; `size`: tokens of the model. */
  readonly readTokens: (size: number) => Promise<VocabularyOptions>;
  /** Constraints are refused, because the tokens cannot be read. */
  readonly onNoTokens: (error: unknown) => void;
}

/** What stages work with. */
export interface StageContext {
  readonly model: KnownModel;
  readonly parts: NativeParts;
  readonly observers: Observers;
  readonly targets: Targets;
  /** Proves membership. */
  readonly metadata: () => Metadata;
  readonly agent: WorkerAgent;
}

/** Longest that a worker that nobody can replace may take, in milliseconds. */
const RANK_DEADLINE_MS = 30_000;

/** Stages that follow the agent's plans, and slots that they load where no replica answers. */
export function createStages(
  options: StageOptions,
  context: StageContext,
  closers: Closers,
): { readonly stages: StageHost; readonly cold: ColdExperts } {
  const { agent, model, parts, observers, targets } = context;
  const spareBytes = (): number => {
    const { committed } = agent.view;
    if (committed === null) return 0;
    return options.memoryBytes - plannedBytes(committed, options.id);
  };
  const cold = new ColdExperts(parts.coldBank, spareBytes, (slots) =>
    observers.onColdLoad(
      slots[0]?.layer ?? 0,
      slots.map(({ expert }) => expert),
    ),
  );
  const stages = new StageHost({
    workerId: options.id,
    spec: model.spec,
    holders: () => agent.holders(),
    onChange: () => agent.changed(),
    onLoadFailed: (error) => observers.onLoadFailed(error),
    seat: seatOptions(options, context, cold),
  });
  closers.add(() => stages.close());
  targets.onChange(() => (stages.dispatches ? agent.changed() : stages.refreshRoutes()));
  return { stages, cold };
}

function seatOptions(
  { credentials, hedgeMs, overlapRows, prefixCaching = true, readTokens, onNoTokens }: StageOptions,
  { agent, model, parts, observers, targets, metadata }: StageContext,
  cold: ColdExperts,
): SeatOptions {
  const { spec, maxModelLen, maxNumSeqs: maxSequences } = model;
  const onProgress = (): void => agent.changed();
  let filters: Promise<TokenFilters | null> | null = null;
  const noFilters = (error: unknown): null => {
    onNoTokens(error);
    return null;
  };
  return {
    hidden: spec.hiddenSize,
    expertWidth: (layer) => expertWidth(spec, layer),
    model: { vocabSize: spec.vocabSize, eosTokenIds: spec.eosTokenIds },
    limits: { maxModelLen, maxSequences, maxBatchedTokens: Math.max(model.maxNumBatchedTokens, maxSequences) },
    targets,
    bank: parts.bank,
    cold,
    credentials,
    metadata,
    epoch: () => agent.view.committed?.epoch ?? 0,
    dispatchObserver: observers.dispatch,
    engineObserver: observers.engine,
    hedgeMs,
    rankDeadlineMs: RANK_DEADLINE_MS,
    overlapRows,
    prefixCaching,
    ...seatMakers(model, parts),
    onProgress,
    openFilters: () => (filters ??= openFilters(parts, readTokens(spec.vocabSize)).catch(noFilters)),
    newCacheId: () => randomInt(1, 2 ** 48 - 1),
    partnerReady: (workerId, pipeline) => agent.partnerReady(workerId, pipeline),
  };
}

async function openFilters(
  { native, runtime }: NativeParts,
  tokens: Promise<VocabularyOptions>,
): Promise<TokenFilters> {
  return NativeTokenFilters.open(native, runtime, await tokens);
}

function seatMakers(
  { weights }: KnownModel,
  { native, runtime, store, bank }: NativeParts,
): Pick<SeatOptions, 'createStage' | 'createRankShard'> {
  const dispatchType = weights === 'f32' ? 'f32' : 'bf16';
  return {
    createStage: async ({ rank, blockSize }, rankTargets, onProgress) => {
      checkCacheBytes(native, store, { ...rank, blockSize });
      return native.createStage(runtime, store, bank, { ...rank, blockSize, rankTargets, dispatchType }, onProgress);
    },
    createRankShard: async ({ rank, blockSize }, onProgress) => {
      checkCacheBytes(native, store, { ...rank, blockSize });
      return native.createRankShard(runtime, store, { ...rank, blockSize }, onProgress);
    },
  };
}
