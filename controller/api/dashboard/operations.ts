/** POST /dashboard/scale and /dashboard/drain: what operators change from the dashboard. */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ChangePreview } from '../../../proto/generated/conclave/v1/ChangePreview.ts';
import type { DrainRequest__Output as DrainRequest } from '../../../proto/generated/conclave/v1/DrainRequest.ts';
import type { ScaleRequest__Output as ScaleRequest } from '../../../proto/generated/conclave/v1/ScaleRequest.ts';
import { invalidField } from '../../errors.ts';
import { readBody } from '../fields/read-body.ts';
import { flag, integer, text } from '../fields/schema.ts';

/** What a change came to. */
export interface Change {
  /** Epoch of the plan that carries it out; 0 for a dry run. */
  readonly epoch: number;
  /** What it would do; null unless it is a dry run. */
  readonly preview: ChangePreview | null;
}

/** ControlService's changes, for `by`. Refusals are ServiceErrors. */
export interface Operations {
  scale(request: ScaleRequest, by: string): Promise<Change>;
  drain(request: DrainRequest, by: string): Promise<Change>;
}

const whole = integer({ min: 0, max: 2 ** 31 - 1 });
const scaleBody = z.looseObject(
  { replicas: integer({ min: 1, max: 1_024 }), layer: whole, expert: whole, hot: whole, dryRun: flag },
  'a JSON object',
);
const drainBody = z.looseObject({ worker: text, cancel: flag, dryRun: flag }, 'a JSON object');

export async function scaleFromPage(request: FastifyRequest, by: string, operations: Operations): Promise<object> {
  const { replicas, layer = null, expert = null, hot = null, dryRun } = readBody(scaleBody, request.body);
  if (replicas === null || replicas === undefined) throw invalidField('replicas', undefined, 'a number of replicas');
  if ((layer === null) !== (expert === null)) {
    throw invalidField(layer === null ? 'layer' : 'expert', undefined, 'layer and expert together');
  }
  if (layer !== null && hot !== null) throw invalidField('hot', hot, 'the busiest experts or a single one, not both');
  const target = scaleTarget(layer, expert, hot);
  return outcome(await operations.scale({ replicas, dryRun: dryRun ?? false, ...target }, by));
}

export async function drainFromPage(request: FastifyRequest, by: string, operations: Operations): Promise<object> {
  const { worker: workerId, cancel, dryRun } = readBody(drainBody, request.body);
  if (workerId === null || workerId === undefined) throw invalidField('worker', undefined, 'the id of a worker');
  return outcome(await operations.drain({ workerId, cancel: cancel ?? false, dryRun: dryRun ?? false }, by));
}

function scaleTarget(layer: number | null, expert: number | null, hot: number | null) {
  if (layer !== null && expert !== null) return { target: 'expert', expert: { layer, expert } } as const;
  return hot === null ? ({ target: 'all', all: true } as const) : ({ target: 'hot', hot } as const);
}

function outcome({ epoch, preview }: Change): object {
  if (preview === null) return { epoch, preview: null };
  const { refusals = [], shortfalls = [], workers = [] } = preview;
  return {
    epoch,
    preview: {
      refusals,
      shortfalls,
      workers: workers.map(({ workerId, loads, loadBytes, frees, freeBytes, stageChanges }) => ({
        ...{ worker: workerId, loads, loadBytes: Number(loadBytes) },
        ...{ frees, freeBytes: Number(freeBytes), stageChanges },
      })),
    },
  };
}
