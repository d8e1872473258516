import type { ChannelCredentials } from '@grpc/grpc-js';
import type { ClusterView } from '../../platform/membership/cluster-view.ts';
import type { MemberKeys } from '../../platform/membership/membership.ts';
import type { PlanWorker__Output as PlanWorker } from '../../proto/generated/conclave/v1/PlanWorker.ts';
import type { PlacementPlan, RunRequest } from '../../proto/messages.ts';
import type { Pipeline } from '../gateway/pipeline.ts';
import { RemotePipeline } from '../gateway/remote-pipeline.ts';
import type { PipelineRouter } from '../gateway/router.ts';
import type { Roster } from './roster/roster.ts';

export interface ClusterRouterOptions {
  readonly view: ClusterView;
  readonly roster: Pick<Roster, 'isGone' | 'takesRequests'>;
  readonly credentials: ChannelCredentials;
  readonly keys: MemberKeys;
}

/**
 * Requests to the pipelines of a cluster: the one with the fewest requests from here among those whose lead says that it
 * is ready and who answers at its address. Lead workers are known from the plans, so requests flow on while the bus is away.
 */
export class ClusterRouter implements PipelineRouter {
  readonly #options: ClusterRouterOptions;
  readonly #pipelines = new Map<string, { readonly pipeline: RemotePipeline; readonly workerId: string }>();

  constructor(options: ClusterRouterOptions) {
    this.#options = options;
  }

  pick(_request: RunRequest, avoid: ReadonlySet<Pipeline>): Pipeline | null {
    const leads = this.#leads();
    this.#forget(leads);
    let best: RemotePipeline | null = null;
    for (const [address, workerId] of leads) {
      const pipeline = this.#pipelineAt(address, workerId);
      if (avoid.has(pipeline)) continue;
      if (best === null || pipeline.running < best.running) best = pipeline;
    }
    return best;
  }

  /** Gives up what runs on leads that are lost and do not answer: a connection to a machine that is gone may hang for long. */
  dropLost(): void {
    const { roster } = this.#options;
    for (const { pipeline, workerId } of this.#pipelines.values()) {
      if (roster.isGone(workerId)) pipeline.giveUp();
    }
  }

  /** Whether some pipeline says that it is ready. */
  get ready(): boolean {
    return this.#leads().size > 0;
  }

  close(): void {
    for (const { pipeline } of this.#pipelines.values()) pipeline.close();
    this.#pipelines.clear();
  }

  /** Ready leads, worker ids by address: for each pipeline as the target plan wants it, or else as the committed one has it. */
  #leads(): ReadonlyMap<string, string> {
    const { roster, view } = this.#options;
    const { target, committed } = view;
    const found = new Map<string, PlanWorker>();
    for (const plan of [target, committed]) {
      for (const { id, stages } of plan?.pipelines ?? []) {
        const parts = stages.flatMap(({ ranks }) => ranks.flatMap(({ worker }) => plan?.workers[worker] ?? []));
        const [lead] = parts;
        if (lead === undefined || found.has(id) || !this.#isReady(lead.id, id, plan)) continue;
        // Without one of its parts a pipeline computes nothing.
        if (!parts.some((part) => roster.isGone(part.id))) found.set(id, lead);
      }
    }
    return new Map([...found.values()].map(({ id, address }) => [address, id]));
  }

  #isReady(workerId: string, pipeline: string, plan: PlacementPlan | null): boolean {
    const { view, roster } = this.#options;
    const report = view.reports.get(workerId);
    const worker = view.workers.get(workerId);
    if (!roster.takesRequests(workerId)) return false;
    if (report === undefined || (worker !== undefined && worker.startedAtMs !== report.startedAtMs)) return false;
    return plan !== null && report.readyPipelines.includes(pipeline);
  }

  #pipelineAt(address: string, workerId: string): RemotePipeline {
    const known = this.#pipelines.get(address)?.pipeline;
    if (known !== undefined) return known;
    const { credentials, keys } = this.#options;
    const pipeline = new RemotePipeline({ address, credentials, metadata: () => keys.metadata() });
    this.#pipelines.set(address, { pipeline, workerId });
    return pipeline;
  }

  #forget(leads: ReadonlyMap<string, string>): void {
    for (const [address, { pipeline, workerId }] of this.#pipelines) {
      if (leads.get(address) === workerId || pipeline.running > 0) continue;
      this.#pipelines.delete(address);
      pipeline.close();
    }
  }
}
