/** POST /dashboard/scale and /dashboard/drain: what operators change from the dashboard. */
import type { FastifyRequest } from 'fastify';
import type { ChangePreview } from '../../../proto/generated/conclave/v1/ChangePreview.ts';
import type { DrainRequest__Output as DrainRequest } from '../../../proto/generated/conclave/v1/DrainRequest.ts';
import type { ScaleRequest__Output as ScaleRequest } from '../../../proto/generated/conclave/v1/ScaleRequest.ts';
import { invalidField } from '../../errors.ts';
import { Fields } from '../fields/fields.ts';

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

export async function scaleFromPage(request: FastifyRequest, by: string, operations: Operations): Promise<object> {
  const fields = new Fields(request.body);
  const whole = { min: 0, max: 2 ** 31 - 1 };
  const replicas = fields.integer('replicas', { min: 1, max: 1_024 });
  if (replicas === null) throw invalidField('replicas', undefined, 'a number of replicas');
  const [layer, expert, hot] = (['layer', 'expert', 'hot'] as const).map((name) => fields.integer(name, whole));
  if ((layer === null) !== (expert === null)) {
    throw invalidField(layer === null ? 'layer' : 'expert', undefined, 'layer and expert together');
  }
  if (layer !== null && hot !== null) throw invalidField('hot', hot, 'the busiest experts or a single one, not both');
  const target = scaleTarget(layer ?? null, expert ?? null, hot ?? null);
  return outcome(await operations.scale({ replicas, dryRun: fields.boolean('dryRun') ?? false, ...target }, by));
}

export async function drainFromPage(request: FastifyRequest, by: string, operations: Operations): Promise<object> {
  const fields = new Fields(request.body);
  const workerId = fields.string('worker');
  if (workerId === null) throw invalidField('worker', undefined, 'the id of a worker');
  const [cancel, dryRun] = [fields.boolean('cancel') ?? false, fields.boolean('dryRun') ?? false];
  return outcome(await operations.drain({ workerId, cancel, dryRun }, by));
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
