import type { RunRequest } from '../../proto/messages.ts';
import type { Pipeline } from './pipeline.ts';

/** Chooses the pipeline that runs a request. */
export interface PipelineRouter {
  /** A pipeline for the request that is not in `avoid`; null when there is none now. */
  pick(request: RunRequest, avoid: ReadonlySet<Pipeline>): Pipeline | null;
}

/** Always the same pipeline: one process, or a cluster with one lead worker. */
export function singlePipeline(pipeline: Pipeline): PipelineRouter {
  return { pick: (_request, avoid) => (avoid.has(pipeline) ? null : pipeline) };
}
