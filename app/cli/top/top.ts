import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { z } from 'zod';
import { exitCodes } from '../../command/exit.ts';
import { topSchema } from '../../config/operate-config.ts';
import { statusJson } from '../operate/cluster-json.ts';
import type { ControlClient } from '../operate/control-client.ts';
import { json, lineWidth, operate, write } from '../operate/operate-command.ts';
import { withControl } from '../operate/with-control.ts';
import { styleOf, Terminal } from './terminal.ts';
import { afterKey, keysOf } from './view/keys.ts';
import { render, snapshot } from './view/render.ts';
import { firstState, type TopState, withProblem, withStatus } from './view/state.ts';

type TopConfig = Readonly<z.output<typeof topSchema>>;

const examples = `
Examples:
  conclave top                                  until q is pressed
  conclave top --server 10.0.0.1:8001 --interval 5s
  conclave top | head -30                       once: what is no terminal gets one view
  conclave top --output json                    the same as "conclave status --output json"

Keys: q quits, Tab and 1 to 4 change the view, arrows move, ? shows all keys. NO_COLOR is respected.`;

/** `conclave top`: a live view of a cluster. */
export function topCommand(): Command {
  const description =
    'Shows a cluster live in the terminal: workers, roll-out, latencies, a heat map of experts, events.';
  return operate('top', description, topSchema, (config) =>
    withControl(config, async (control) => {
      // What is wrong from the start ends the command.
      const status = statusJson(await control.status());
      const { stdin, stdout, env } = process;
      if (config.output === 'json') return write(json(status));
      const state = firstState(config.server, status);
      if (!stdout.isTTY || !stdin.isTTY || env['TERM'] === 'dumb') return write(snapshot(state, lineWidth()));
      return show(control, config, state);
    }),
  ).addHelpText('after', examples);
}

/** Until a key ends the process. */
async function show(control: ControlClient, { interval }: TopConfig, first: TopState): Promise<never> {
  const { stdin, stdout, env } = process;
  const style = styleOf(stdout, env);
  let state = first;
  const draw = (): void => terminal.draw(render(state, terminal.size, style));
  const terminal: Terminal = new Terminal({
    input: stdin,
    output: stdout,
    onInput: (text) => {
      for (const key of keysOf(text)) {
        if (key === 'quit') process.exit(exitCodes.ok);
        if (key === 'suspend') terminal.suspend();
        state = afterKey(state, key);
      }
      draw();
    },
    onChange: draw,
  });
  terminal.open();
  let answeredAt = performance.now();
  for (;;) {
    draw();
    await sleep(interval);
    try {
      state = withStatus(state, statusJson(await control.status()));
      answeredAt = performance.now();
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      state = withProblem(state, problem, performance.now() - answeredAt);
    }
  }
}
