import { Command } from 'commander';
import type { z } from 'zod';
import { addOptions, configOf } from '../../command/command-options.ts';

/** A command with the options of a schema. */
export function operate<Schema extends z.ZodObject>(
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

export function write(text: string): void {
  process.stdout.write(text);
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Characters of a line of the terminal; Infinity where the output goes elsewhere, or to a terminal that says 0. */
export function lineWidth(): number {
  return (process.stdout.isTTY && process.stdout.columns) || Number.POSITIVE_INFINITY;
}
