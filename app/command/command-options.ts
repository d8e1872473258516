import { type Command, Option } from 'commander';
import type { z } from 'zod';
import { type AskedOption, type ConfigSources, type LoadedConfig, loadConfig } from '../config/load-config.ts';
import { type OptionSpec, optionsOf } from '../config/option.ts';
import { hideSecrets } from './hidden-secrets.ts';

/** Gives a command the flags of a schema, grouped as the schema says, and --config. */
export function addOptions(command: Command, schema: z.ZodObject): Command {
  for (const spec of optionsOf(schema)) {
    if (spec.positional) command.argument(`[${spec.name.toUpperCase()}]`, sentence(spec));
    else command.addOption(flag(spec));
  }
  return command.addOption(
    new Option('--config <FILE>', 'YAML file of options, named as the flags without their dashes.').helpGroup(
      'Configuration:',
    ),
  );
}

/** The configuration of a command whose line has been parsed. */
export function configOf<Schema extends z.ZodObject>(
  command: Command,
  schema: Schema,
  environment: ConfigSources['environment'],
  asked: readonly AskedOption[] = [],
): LoadedConfig<Readonly<z.output<Schema>>> {
  hideSecrets(schema);
  const positional = optionsOf(schema).filter((spec) => spec.positional);
  const given = Object.entries(command.opts()).filter(([key]) => command.getOptionValueSource(key) === 'cli');
  const flags = {
    ...Object.fromEntries(given),
    ...Object.fromEntries(positional.map(({ key }, index) => [key, command.processedArgs[index]])),
  };
  const file = command.opts()['config'] ?? environment['CONCLAVE_CONFIG'] ?? null;
  return loadConfig(schema, { flags, environment, file, asked });
}

function flag(spec: OptionSpec): Option {
  const name = spec.defaultValue === true ? `--no-${spec.name}` : `--${spec.name}`;
  const [open, close] = spec.bare === undefined ? '<>' : '[]';
  const value = spec.placeholder === undefined ? '' : ` ${open}${spec.placeholder}${close}`;
  const option = new Option(`${name}${value}`, sentence(spec));
  if (spec.bare !== undefined) option.preset(spec.bare);
  if (spec.repeatable) {
    option.argParser<readonly string[] | undefined>((given, before) => [...(before ?? []), given]);
  }
  return option.helpGroup(`${spec.group}:`);
}

function sentence(spec: OptionSpec): string {
  const fallback = spec.fallback ?? shown(spec.defaultValue);
  const switchedOff = spec.defaultValue === true ? 'Do not ' : '';
  const text = switchedOff + (switchedOff ? lowerFirst(spec.description) : spec.description);
  return fallback === null ? text : `${text} (default: ${fallback})`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** A default in words; null where there is nothing to say. */
function shown(value: unknown): string | null {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : null;
}
