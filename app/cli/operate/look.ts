/** Commands that look at a cluster over ControlService of one of its controllers. */
import type { Command } from 'commander';
import type { z } from 'zod';
import type { GetPlanResponse__Output as GetPlanResponse } from '../../../proto/generated/conclave/v1/GetPlanResponse.ts';
import { CliError } from '../../command/exit.ts';
import { lookSchema, statusSchema } from '../../config/operate-config.ts';
import { planJson, statusJson } from './cluster-json.ts';
import type { ControlClient } from './control-client.ts';
import { json, lineWidth, operate, write } from './operate-command.ts';
import { screen } from './screen.ts';
import { requestsText, statusLine, statusText } from './status-text.ts';
import { withControl } from './with-control.ts';

const statusExamples = `
Examples:
  conclave status                               the cluster now
  conclave status --watch                       again every 2 seconds, until Ctrl-C
  conclave status --watch 10s --output json     one JSON object per line`;

/** `conclave status`. */
export function statusCommand(): Command {
  return operate(
    'status',
    'Shows workers, plan, rollout, what operators asked for, load and recent events of a cluster.',
    statusSchema,
    (config) =>
      withControl(config, async (control) => {
        if (config.watch !== null) return watch(control, config, config.watch);
        const status = statusJson(await control.status());
        write(config.output === 'json' ? json(status) : statusText(status, lineWidth()));
      }),
  ).addHelpText('after', statusExamples);
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

/** `conclave replicas`. */
export function replicasCommand(): Command {
  return operate(
    'replicas',
    'Shows how many replicas of experts are asked for, by whom, and how many there are.',
    lookSchema,
    (config) =>
      withControl(config, async (control) => {
        const { requests } = statusJson(await control.status());
        const replicas = requests.filter(({ kind }) => kind === 'replicas');
        const text = (): string => requestsText(replicas, lineWidth()) || 'the model has no experts';
        write(config.output === 'json' ? json({ replicas }) : `${text()}\n`);
      }),
  );
}

/** Shows the status again and again: on a terminal in place, elsewhere one line each time. A controller may go and come back. */
async function watch(
  control: ControlClient,
  { output }: z.output<typeof statusSchema>,
  intervalMs: number,
): Promise<never> {
  let shown = statusJson(await control.status()); // What is wrong from the start ends the command.
  let problem = '';
  for (;;) {
    if (output === 'json') write(`${JSON.stringify(shown)}\n`);
    else if (process.stdout.isTTY) write(screen(shown, problem, process.stdout));
    else write(statusLine(shown));
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
    for (;;) {
      try {
        shown = statusJson(await control.status());
        problem = '';
        break;
      } catch (error) {
        problem = error instanceof Error ? error.message : String(error);
        if (output === 'text' && process.stdout.isTTY) write(screen(shown, problem, process.stdout));
        else process.stderr.write(`${problem}\n`);
        await new Promise((resolve) => setTimeout(resolve, intervalMs));
      }
    }
  }
}
