/** Commands that operate a cluster over ControlService of one of its controllers. */
import { Command } from 'commander';
import type { z } from 'zod';
import type { GetPlanResponse__Output as GetPlanResponse } from '../../../proto/generated/conclave/v1/GetPlanResponse.ts';
import type { ScaleRequest } from '../../../proto/generated/conclave/v1/ScaleRequest.ts';
import { ConfigError } from '../../config/load-config.ts';
import { drainSchema, lookSchema, scaleSchema } from '../../config/operate-config.ts';
import { addOptions, configOf } from '../command-options.ts';
import { CliError } from '../exit.ts';
import { planJson, rolloutPhase, statusJson } from './cluster-json.ts';
import { type ControlClient, withControl } from './control-client.ts';
import { statusText } from './status-text.ts';

/** `conclave status`. */
export function statusCommand(): Command {
  return operate(
    'status',
    'Shows workers, plan, rollout, expert load and recent events of a cluster.',
    lookSchema,
    (config) =>
      withControl(config, async (control) => {
        const status = statusJson(await control.status());
        write(config.output === 'json' ? json(status) : statusText(status));
      }),
  );
}

/** `conclave plan`. */
export function planCommand(): Command {
  return operate('plan', 'Shows the plan that the cluster works towards: what runs where.', lookSchema, (config) =>
    withControl(config, async (control) => {
      const { plan, description } = await control.call<GetPlanResponse>((metadata, options, done) =>
        control.client.GetPlan({}, metadata, options, done),
      );
      if (plan === null) throw new CliError('the controller answered without a plan');
      write(config.output === 'json' ? json(planJson(plan)) : `${description}\n`);
    }),
  );
}

const scaleExamples = `
Examples:
  conclave scale --replicas 2                        two copies of every expert
  conclave scale --replicas 3 --layer 4 --expert 17  three of one
  conclave scale --replicas 4 --hot 16 --wait 5m     four of the sixteen busiest, and wait until they serve`;

/** `conclave scale`. */
export function scaleCommand(): Command {
  const command = operate('scale', 'Changes how many copies of experts there are.', scaleSchema, (config) =>
    withControl(config, async (control) => {
      const request = scaleRequest(config);
      const { epoch } = await control.call<{ readonly epoch: number }>((metadata, options, done) =>
        control.client.Scale(request, metadata, options, done),
      );
      if (config.wait !== null) await untilRolledOut(control, epoch, config.wait);
      write(config.output === 'json' ? json({ epoch, replicas: config.replicas }) : changed(epoch, config.wait));
    }),
  );
  return command.addHelpText('after', scaleExamples);
}

/** `conclave drain`. */
export function drainCommand(): Command {
  return operate('drain', 'Moves everything off a worker, without harm to what runs.', drainSchema, (config) =>
    withControl(config, async (control) => {
      const { epoch } = await control.call<{ readonly epoch: number }>((metadata, options, done) =>
        control.client.Drain({ workerId: config.worker, cancel: config.cancel }, metadata, options, done),
      );
      if (config.wait !== null)
        await untilRolledOut(control, epoch, config.wait, config.cancel ? undefined : config.worker);
      write(config.output === 'json' ? json({ epoch, worker: config.worker }) : changed(epoch, config.wait));
    }),
  );
}

function scaleRequest({ replicas, layer, expert, hot }: z.output<typeof scaleSchema>): ScaleRequest {
  if ((layer === null) !== (expert === null)) {
    throw new ConfigError(['--layer and --expert belong together: expected both or neither']);
  }
  if (hot !== null && layer !== null) {
    throw new ConfigError(['--hot, --layer: expected the busiest experts or a single one, got both']);
  }
  if (layer !== null && expert !== null) return { replicas, expert: { layer, expert } };
  return hot === null ? { replicas, all: true } : { replicas, hot };
}

const POLL_MS = 200;

/** Until a plan of at least `epoch` is in force, and a drained worker holds nothing. */
async function untilRolledOut(control: ControlClient, epoch: number, waitMs: number, drained?: string): Promise<void> {
  const started = performance.now();
  for (;;) {
    const status = await control.status();
    const inForce = (status.plan?.epoch ?? 0) >= epoch;
    const phase = rolloutPhase(status);
    if (inForce && phase === 'rolled_back') throw new CliError(`rolled back: ${status.rollout?.error ?? ''}`);
    const slots = status.workers.find(({ id }) => id === drained)?.slots ?? 0;
    if (inForce && phase === 'complete' && slots === 0) return;
    if (inForce && phase === 'complete' && drained === undefined) return;
    if (performance.now() - started > waitMs) {
      throw new CliError(
        `plan ${epoch} is not carried out after ${waitMs / 1_000} s; it goes on`,
        'See "conclave status".',
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function changed(epoch: number, wait: number | null): string {
  return wait === null ? `plan ${epoch} carries it out; see "conclave status"\n` : `plan ${epoch} is in force\n`;
}

function operate<Schema extends z.ZodObject>(
  name: string,
  description: string,
  schema: Schema,
  run: (config: Readonly<z.output<Schema>>) => Promise<void>,
): Command {
  const command = new Command(name).description(description);
  return addOptions(command, schema).action(async () => {
    await run(configOf(command, schema, process.env).config);
  });
}

function write(text: string): void {
  process.stdout.write(text);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
