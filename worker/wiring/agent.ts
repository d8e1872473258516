import type { Gpu } from '../../native/native.ts';
import type { Bus } from '../../platform/bus/bus.ts';
import type { MemberKeys } from '../../platform/membership/membership.ts';
import type { GpuDetails__Output as GpuDetails } from '../../proto/generated/conclave/v1/GpuDetails.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { WorkerSession } from '../../proto/worker-session.ts';
import { WorkerAgent } from '../agent/worker-agent.ts';
import type { Targets } from '../shard/targets.ts';
import type { Observers } from './observers.ts';
import type { WorkerObserver } from './worker-observer.ts';

export interface AgentOptions {
  readonly bus: Bus;
  readonly cluster: string;
  readonly id: string;
  readonly node: string;
  readonly version: string;
  readonly roles: readonly ('stage' | 'expert')[];
  readonly memoryBytes: number;
  readonly threads: number;
  /** The id of a GPU. Default "cpu". */
  readonly device?: string;
  /** What it is. */
  readonly gpu?: Pick<Gpu, 'name' | 'totalBytes' | 'computeCapability'> | null;
  /** What its weights can be kept in. Default: all. */
  readonly weightsFormats?: readonly WeightsFormat[];
  readonly observer: WorkerObserver;
}

/** What the agent works with. */
export interface AgentContext {
  readonly keys: MemberKeys;
  readonly session: WorkerSession;
  readonly targets: Targets;
  readonly observers: Observers;
}

/** The agent that will announce this worker; it joins when it is started with its address. */
export function createAgent(
  { observer, bus, cluster, ...worker }: AgentOptions,
  { keys, session, targets, observers }: AgentContext,
): WorkerAgent {
  return new WorkerAgent({
    cluster,
    bus,
    keys,
    targets,
    announcement: {
      id: worker.id,
      node: worker.node,
      pid: process.pid,
      roles: [...worker.roles],
      memoryBytes: worker.memoryBytes,
      cores: worker.threads,
      device: worker.device ?? 'cpu',
      gpu: worker.gpu ? gpuDetails(worker.gpu) : null,
      weightsFormats: [...(worker.weightsFormats ?? [])],
      version: worker.version,
      startedAtMs: session.startedAtMs,
    },
    activity: (seconds, engine) => observers.activity.take(seconds, engine),
    onReplaced: (error) => observers.engine.onFault(error),
    onError: (what, error) => observer.onError(what, error),
  });
}

function gpuDetails({ name, totalBytes, computeCapability }: NonNullable<AgentOptions['gpu']>): GpuDetails {
  return { name, memoryBytes: totalBytes, computeCapability };
}
