import type { ChannelCredentials, Metadata } from '@grpc/grpc-js';
import type { ExpertBank, OnProgress, RankShard, Stage } from '../../native/native.ts';
import type { Clock } from '../../platform/process/clock.ts';
import type { EngineLimits } from '../engine/request/limits.ts';
import type { EngineModel } from '../engine/request/request.ts';
import type { TokenFilters } from '../engine/request/token-filters.ts';
import type { EngineObserver } from '../engine/run/observer.ts';
import type { ColdExperts } from '../shard/cold-experts.ts';
import type { DispatchObserver } from '../shard/dispatcher.ts';
import type { Targets } from '../shard/targets.ts';
import type { SeatSpec } from './seat-spec.ts';

/** What the seats of a worker have in common. */
export interface SeatOptions {
  readonly hidden: number;
  /** Elements of a row as experts of a layer read and give it. */
  readonly expertWidth: (layer: number) => number;
  readonly model: EngineModel;
  readonly limits: Partial<EngineLimits> & Pick<EngineLimits, 'maxModelLen'>;
  readonly targets: Targets;
  readonly bank: ExpertBank;
  readonly cold: ColdExperts;
  readonly credentials: ChannelCredentials;
  readonly metadata: () => Metadata;
  readonly epoch: () => number;
  readonly dispatchObserver: DispatchObserver;
  readonly engineObserver: EngineObserver | null;
  readonly hedgeMs: number | null;
  readonly rankDeadlineMs: number;
  readonly overlapRows: number;
  readonly prefixCaching: boolean;
  readonly createStage: (spec: SeatSpec, rankTargets: readonly number[], onProgress: OnProgress) => Promise<Stage>;
  readonly createRankShard: (spec: SeatSpec, onProgress: OnProgress) => Promise<RankShard>;
  readonly onProgress: OnProgress;
  /** For the engine of a pipeline; null where constraints are refused. */
  readonly openFilters: () => Promise<TokenFilters | null>;
  /** Whether a worker says that its part of the pipeline is loaded. */
  readonly partnerReady: (workerId: string, pipeline: string) => boolean;
  readonly clock?: Clock;
  /** A number > 0 that no cache has been named by; see CacheClaim. */
  readonly newCacheId: () => number;
}
