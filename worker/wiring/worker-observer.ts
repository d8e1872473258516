import type { EngineObserver } from '../engine/run/observer.ts';
import type { DispatchObserver } from '../shard/dispatcher.ts';
import type { ShardObserver } from '../shard/server.ts';
import type { ShardFailure } from '../wire/failure.ts';

/** Called with what a worker does, for logs and metrics. */
export interface WorkerObserver extends DispatchObserver, ShardObserver {
  /** A peer failed; its rows went elsewhere. */
  onPeerFailure(failure: ShardFailure): void;
  /** Experts were loaded here because no replica answered. */
  onColdLoad(layer: number, experts: readonly number[]): void;
  /** Weights that a plan wants here could not be loaded. */
  onLoadFailed(error: unknown): void;
  /** An error that the worker survives. */
  onError(what: string, error: unknown): void;
  readonly engine: EngineObserver;
}
