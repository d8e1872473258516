import type { Bus } from '../../platform/bus/bus.ts';
import type { MemberKeys } from '../../platform/membership/membership.ts';
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
  { bus, cluster, id, node, version, roles, memoryBytes, threads, observer }: AgentOptions,
  { keys, session, targets, observers }: AgentContext,
): WorkerAgent {
  return new WorkerAgent({
    cluster,
    bus,
    keys,
    targets,
    announcement: {
      id,
      node,
      pid: process.pid,
      roles: [...roles],
      memoryBytes,
      cores: threads,
      device: 'cpu',
      version,
      startedAtMs: session.startedAtMs,
    },
    activity: (seconds, engine) => observers.activity.take(seconds, engine),
    onReplaced: (error) => observers.engine.onFault(error),
    onError: (what, error) => observer.onError(what, error),
  });
}
