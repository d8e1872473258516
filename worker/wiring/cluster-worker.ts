/**
 * A worker process: native engine, shards, stages and the agent that follows the cluster's plans.
 *
 *   const worker = await startClusterWorker({ native, bus, directory, … });
 *   …
 *   await worker.drain(25_000);
 *   await worker.close();
 */
import { MemberKeys } from '../../platform/membership/membership.ts';
import { expertWidth } from '../../proto/model/operators.ts';
import type { Departure } from '../agent/departure.ts';
import { ExpertAgent } from '../agent/expert-agent.ts';
import type { Readiness } from '../agent/readiness.ts';
import { servedModel } from '../agent/served-model.ts';
import type { WorkerAgent } from '../agent/worker-agent.ts';
import type { EngineSnapshot } from '../engine/run/observer.ts';
import type { ColdExperts } from '../shard/cold-experts.ts';
import { Targets } from '../shard/targets.ts';
import type { StageHost } from '../stage/stage-host.ts';
import { type AgentOptions, createAgent } from './agent.ts';
import { Closers } from './closers.ts';
import { type NativeOptions, type NativeParts, openNativeParts } from './native-parts.ts';
import { createObservers, type ObserverOptions } from './observers.ts';
import { type ServiceOptions, startServices } from './services.ts';
import { createStages, type StageOptions } from './stages.ts';
import type { WorkerObserver } from './worker-observer.ts';

export interface ClusterWorkerOptions
  extends NativeOptions,
    AgentOptions,
    StageOptions,
    ServiceOptions,
    ObserverOptions {
  /** Least milliseconds that a dispatch may take before its rows go elsewhere. */
  readonly dispatchDeadlineMs: number;
  /** Milliseconds to wait for a controller to say what is served. */
  readonly modelDeadlineMs: number;
  readonly observer: WorkerObserver;
}

/** What a worker holds and does at one moment. */
export interface WorkerSnapshot {
  /** Epoch of the plan in force; 0 before the first. */
  readonly planEpoch: number;
  readonly slots: number;
  readonly expertBytes: number;
  /** Slots held only because no replica answers. */
  readonly coldSlots: number;
  /** Part of the time in which it computed, as its last report says. */
  readonly busyRatio: number;
  /** Null on a worker that leads no pipeline. */
  readonly engine: EngineSnapshot | null;
  /** Ids of the requests that its pipeline runs. */
  readonly requestIds: readonly string[];
}

export interface ClusterWorker {
  readonly address: string;
  readonly agent: WorkerAgent;
  /** What it holds and does at this moment. */
  snapshot(): WorkerSnapshot;
  /** Whether it does what the cluster wants of it. */
  readiness(): Readiness;
  /** Moves everything off this worker, unless nobody stays to take it. */
  drain(deadlineMs: number): Promise<Departure>;
  close(): Promise<void>;
}

/** Longest that a dispatch may take, in milliseconds: a first one that finds everything cold. */
const MAX_DISPATCH_MS = 10_000;

/** Joins a cluster. Rejects when no controller says what is served, or the checkpoint here does not fit it. */
export async function startClusterWorker(options: ClusterWorkerOptions): Promise<ClusterWorker> {
  const closers = new Closers();
  try {
    return await joinCluster(options, closers);
  } catch (error) {
    await closers.close();
    throw error;
  }
}

async function joinCluster(options: ClusterWorkerOptions, closers: Closers): Promise<ClusterWorker> {
  const { bus, id, credentials } = options;
  const model = await servedModel(bus, options.modelDeadlineMs);
  const parts = await openNativeParts(options, model, closers);
  const observers = createObservers(options, closers);
  const keys = new MemberKeys();
  const metadata = () => keys.metadata();
  const targets = new Targets({
    credentials,
    metadata,
    health: {
      now: () => performance.now(),
      minDeadlineMs: options.dispatchDeadlineMs,
      maxDeadlineMs: MAX_DISPATCH_MS,
    },
    onFailure: (failure) => observers.onPeerFailure(failure),
  });
  closers.add(() => targets.close());
  const session = { workerId: id, startedAtMs: Date.now() };
  const agent = createAgent(options, { keys, session, targets, observers });
  const { stages, cold } = createStages(options, { model, parts, observers, targets, metadata, agent }, closers);
  const { bank } = parts;
  const widths = { hidden: model.spec.hiddenSize, expertWidth: (layer: number) => expertWidth(model.spec, layer) };
  const context = { keys, session, bank, ...widths, stages, agent, observer: observers.shard };
  const { server, address } = await startServices(options, context, closers);
  const experts = new ExpertAgent({
    workerId: id,
    bank,
    onChange: () => agent.changed(),
    routesSettled: (epoch) => agent.routesSettled(epoch),
    onLoadFailed: (error) => observers.onLoadFailed(error),
  });
  closers.add(() => agent.stop());
  await agent.start(experts, stages, address);
  server.setServing(true);
  return {
    address,
    agent,
    snapshot: () => ({ ...snapshot(agent, parts, cold, stages), busyRatio: observers.activity.busyRatio }),
    readiness: () => agent.readiness(),
    drain: (deadlineMs) => agent.drain(deadlineMs),
    close: () => closers.close(),
  };
}

function snapshot(agent: WorkerAgent, { bank }: NativeParts, cold: ColdExperts, { engine }: StageHost) {
  return {
    planEpoch: agent.view.committed?.epoch ?? 0,
    slots: bank.slotCount,
    expertBytes: bank.bytes,
    coldSlots: cold.size,
    engine: engine?.snapshot() ?? null,
    requestIds: engine?.runningRequests() ?? [],
  };
}
