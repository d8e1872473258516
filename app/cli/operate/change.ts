/** Commands that change a cluster over ControlService of one of its controllers. */
import { isDeepStrictEqual } from 'node:util';
import type { Command } from 'commander';
import type { z } from 'zod';
import type { Asked__Output as Asked } from '../../../proto/generated/conclave/v1/Asked.ts';
import type { CordonResponse__Output as CordonResponse } from '../../../proto/generated/conclave/v1/CordonResponse.ts';
import type { DrainResponse__Output as DrainResponse } from '../../../proto/generated/conclave/v1/DrainResponse.ts';
import type { ScaleRequest } from '../../../proto/generated/conclave/v1/ScaleRequest.ts';
import type { ScaleResponse__Output as ScaleResponse } from '../../../proto/generated/conclave/v1/ScaleResponse.ts';
import { CliError } from '../../command/exit.ts';
import { ConfigError } from '../../config/load-config.ts';
import { cordonSchema, drainSchema, forgetSchema, scaleSchema } from '../../config/operate-config.ts';
import { previewJson, rolloutPhase } from './cluster-json.ts';
import type { ControlClient } from './control-client.ts';
import { json, operate, write } from './operate-command.ts';
import { previewText, scaledText } from './preview-text.ts';
import { scalePool } from './scale-pool.ts';
import { withControl } from './with-control.ts';

const scaleExamples = `
Examples:
  conclave scale --replicas 2                        two copies of every expert
  conclave scale --replicas 3 --layer 4 --expert 17  three of one
  conclave scale --replicas 4 --hot 16 --wait 5m     four of the sixteen busiest, and wait until they serve
  conclave scale --replicas 2 --dry-run              what would move, and what would not fit
  conclave scale --pool experts --replicas 6         six workers in an ExpertPool on Kubernetes

"conclave replicas" lists what is asked for.`;

/** `conclave scale`. */
export function scaleCommand(): Command {
  const command = operate('scale', 'Changes how many copies of experts there are.', scaleSchema, (config) =>
    withControl(config, async (control) => {
      if (config.pool !== null) return scalePool(control, config.pool, config);
      const request = scaleRequest(config);
      const { epoch, experts, preview, asked } = await control.call<ScaleResponse>((metadata, options, done) =>
        control.client.Scale(request, metadata, options, done),
      );
      const answer = { epoch, replicas: config.replicas, experts };
      if (preview !== null) return showPreview(preview, { ...answer, preview: previewJson(preview) }, config, experts);
      if (config.wait !== null) await untilInForce(control, { epoch, asked, drained: null }, config.wait);
      write(config.output === 'json' ? json(answer) : `${scaledText(experts)}${changed(epoch, config.wait)}`);
    }),
  );
  return command.addHelpText('after', scaleExamples);
}

/** `conclave drain`. */
export function drainCommand(): Command {
  return operate('drain', 'Moves everything off a worker, without harm to what runs.', drainSchema, (config) =>
    withControl(config, async (control) => {
      const { cancel, dryRun, wait, output } = config;
      const worker = await givenWorker(control, config.worker);
      const { epoch, preview, asked } = await control.call<DrainResponse>((metadata, options, done) =>
        control.client.Drain({ workerId: worker, cancel, dryRun }, metadata, options, done),
      );
      if (preview !== null) return showPreview(preview, { epoch, worker, preview: previewJson(preview) }, config, []);
      if (wait !== null) await untilInForce(control, { epoch, asked, drained: cancel ? null : worker }, wait);
      write(output === 'json' ? json({ epoch, worker }) : changed(epoch, wait));
    }),
  );
}

/** `conclave cordon`. */
export function cordonCommand(): Command {
  return cordoning('cordon', 'Lets a worker keep what it has and gives it nothing new.', false);
}

/** `conclave uncordon`. */
export function uncordonCommand(): Command {
  return cordoning('uncordon', 'Takes a cordon and a drain back: the worker is used again.', true);
}

function cordoning(name: string, description: string, cancel: boolean): Command {
  return operate(name, description, cordonSchema, (config) =>
    withControl(config, async (control) => {
      const worker = await givenWorker(control, config.worker);
      const { output } = config;
      const { epoch } = await control.call<CordonResponse>((metadata, options, done) =>
        control.client.Cordon({ workerId: worker, cancel }, metadata, options, done),
      );
      write(output === 'json' ? json({ epoch, worker }) : `${worker} is ${name}ed with plan ${epoch}\n`);
    }),
  );
}

/** Throws a ConfigError that names the workers there are when none is given. */
async function givenWorker(control: ControlClient, worker: string | null): Promise<string> {
  if (worker !== null) return worker;
  const { workers } = await control.status().catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError([`WORKER: expected the id of a worker; "conclave status" lists them, but ${reason}`]);
  });
  const ids = workers.map(({ id }) => id).join(', ');
  throw new ConfigError([`WORKER: expected the id of a worker; there are: ${ids || 'none'}`]);
}

/** `conclave forget`. */
export function forgetCommand(): Command {
  const description = 'Takes a lost worker that will not come back off the list of status.';
  return operate('forget', description, forgetSchema, (config) =>
    withControl(config, async (control) => {
      const { output } = config;
      const worker = await givenWorker(control, config.worker);
      await control.call((metadata, options, done) =>
        control.client.Forget({ workerId: worker }, metadata, options, done),
      );
      write(output === 'json' ? json({ worker }) : `${worker} is forgotten until it joins again\n`);
    }),
  );
}

function scaleRequest({ replicas, layer, expert, hot, dryRun }: z.output<typeof scaleSchema>): ScaleRequest {
  if ((layer === null) !== (expert === null)) {
    throw new ConfigError(['--layer and --expert belong together: expected both or neither']);
  }
  if (replicas < 1 || replicas > MAX_REPLICAS) {
    throw new ConfigError([`--replicas: expected 1 to ${MAX_REPLICAS} copies of experts, got ${replicas}`]);
  }
  if (hot !== null && layer !== null) {
    throw new ConfigError(['--hot, --layer: expected the busiest experts or a single one, got both']);
  }
  if (layer !== null && expert !== null) return { replicas, dryRun, expert: { layer, expert } };
  return hot === null ? { replicas, dryRun, all: true } : { replicas, dryRun, hot };
}

/** Fails, after all is shown, where the change would be refused: as the change itself would. */
function showPreview(
  preview: Parameters<typeof previewJson>[0],
  answer: unknown,
  { output }: { readonly output: 'text' | 'json' },
  experts: ScaleResponse['experts'],
): void {
  write(output === 'json' ? json(answer) : `${scaledText(experts)}${previewText(previewJson(preview))}`);
  if (preview.refusals.length > 0) throw new CliError(`it would be refused: ${preview.refusals.join('; ')}`);
}

const MAX_REPLICAS = 1_024;
const POLL_MS = 200;

interface Awaited {
  /** Epoch of the plan that carried the change out when it was made. */
  readonly epoch: number;
  /** Names the request; null where nothing is asked for any more. */
  readonly asked: Asked | null;
  /** A worker that must hold nothing. */
  readonly drained: string | null;
}

/** Until what was asked is in force. Fails when it has to wait for something that the cluster lacks. */
async function untilInForce(control: ControlClient, { epoch, asked, drained }: Awaited, waitMs: number): Promise<void> {
  const started = performance.now();
  for (;;) {
    const status = await control.status();
    const inForce = (status.plan?.epoch ?? 0) >= epoch;
    const phase = rolloutPhase(status);
    const settled = inForce && phase !== 'loading';
    const request = status.requests.find((other) => asked !== null && isDeepStrictEqual(other.asked, asked));
    if (settled && request?.state === 'REQUEST_STATE_PENDING') {
      throw new CliError(
        `"${request.what}" is pending: ${request.reason}`,
        'It stays asked for; see "conclave status".',
      );
    }
    const held = status.workers.find(({ id }) => id === drained)?.slots ?? 0;
    if (settled && held === 0) return;
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
