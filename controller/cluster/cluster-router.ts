import type { ChannelCredentials } from '@grpc/grpc-js';
import type { ClusterView } from '../../proto/cluster-view.ts';
import type { MemberKeys } from '../../proto/membership.ts';
import type { PlacementPlan, RunRequest } from '../../proto/messages.ts';
import type { Pipeline } from '../gateway/pipeline.ts';
import { RemotePipeline } from '../gateway/remote-pipeline.ts';
import type { PipelineRouter } from '../gateway/router.ts';
import type { Roster } from './roster/roster.ts';

export interface ClusterRouterOptions {
  readonly view: ClusterView;
  readonly roster: Pick<Roster, 'takesRequests'>;
  readonly credentials: ChannelCredentials;
  readonly keys: MemberKeys;
}

/**
 * Requests to the pipelines of a cluster: the one with the fewest requests from here among those whose lead says that it
 * is ready and who answers at its address. Lead workers are known from the plans, so requests flow on while the bus is away.
 */
export class ClusterRouter implements PipelineRouter {
  readonly #options: ClusterRouterOptions;
  readonly #pipelines = new Map<string, RemotePipeline>();

  constructor(options: ClusterRouterOptions) {
    this.#options = options;
  }

  pick(_request: RunRequest, avoid: ReadonlySet<Pipeline>): Pipeline | null {
    const addresses = this.#leads();
    this.#forget(addresses);
    let best: RemotePipeline | null = null;
    for (const address of addresses) {
      const pipeline = this.#pipelineAt(address);
      if (avoid.has(pipeline)) continue;
      if (best === null || pipeline.running < best.running) best = pipeline;
    }
    return best;
  }

  /** Whether some pipeline says that it is ready. */
  get ready(): boolean {
    return this.#leads().size > 0;
  }

  close(): void {
    for (const pipeline of this.#pipelines.values()) pipeline.close();
    this.#pipelines.clear();
  }

  /** Addresses of ready leads: for each pipeline as the target plan wants it, or else as the committed one has it. */
  #leads(): ReadonlySet<string> {
    const { target, committed } = this.#options.view;
    const found = new Map<string, string>();
    for (const plan of [target, committed]) {
      for (const { id, stages } of plan?.pipelines ?? []) {
        const lead = plan?.workers[stages[0]?.ranks[0]?.worker ?? -1];
        if (lead !== undefined && !found.has(id) && this.#isReady(lead.id, id, plan)) found.set(id, lead.address);
      }
    }
    return new Set(found.values());
  }

  #isReady(workerId: string, pipeline: string, plan: PlacementPlan | null): boolean {
    const { view, roster } = this.#options;
    const report = view.reports.get(workerId);
    const worker = view.workers.get(workerId);
    if (!roster.takesRequests(workerId)) return false;
    if (report === undefined || (worker !== undefined && worker.startedAtMs !== report.startedAtMs)) return false;
    return plan !== null && report.readyPipelines.includes(pipeline);
  }

  #pipelineAt(address: string): RemotePipeline {
    let pipeline = this.#pipelines.get(address);
    if (pipeline === undefined) {
      const { credentials, keys } = this.#options;
      pipeline = new RemotePipeline({ address, credentials, metadata: () => keys.metadata() });
      this.#pipelines.set(address, pipeline);
    }
    return pipeline;
  }

  #forget(addresses: ReadonlySet<string>): void {
    for (const [address, pipeline] of this.#pipelines) {
      if (addresses.has(address) || pipeline.running > 0) continue;
      this.#pipelines.delete(address);
      pipeline.close();
    }
  }
}
