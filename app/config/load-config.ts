import { readFileSync } from 'node:fs';
import { type Document, isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { didYouMean } from './did-you-mean.ts';
import { type OptionSpec, optionsOf } from './option.ts';

/** Where values may come from, besides defaults. */
export interface ConfigSources {
  /** Flags that were given, by key. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** YAML file; null for none. */
  readonly file: string | null;
  /** Options that something else asks for; every other source wins over them. */
  readonly asked?: readonly AskedOption[];
}

/** An option by its name, and who asks for it: "MoEModel clerk, spec.weights". */
export interface AskedOption {
  readonly name: string;
  readonly value: unknown;
  readonly place: string;
}

export interface LoadedConfig<T> {
  readonly config: T;
  /** Things that are odd but no error. */
  readonly warnings: readonly string[];
}

/** The configuration is not valid; the message lists every problem with its source. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** A raw value and how to call its place in an error. */
interface Sourced {
  readonly value: unknown;
  readonly place: string;
}

/** Variables that are read elsewhere. */
const notOptions: ReadonlySet<string> = new Set([
  'CONCLAVE_CONFIG',
  'CONCLAVE_NATIVE',
  'CONCLAVE_CUDA',
  'CONCLAVE_CUDA_ARCHITECTURES',
]);

/** Kubernetes sets such variables in every pod beside a service of that name; they are not meant for this program. */
const serviceLink = /^CONCLAVE(_.+)?_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_.+)?)$/;

/**
 * Reads a command's configuration: flag over environment over file over what is asked for over default. Throws a ConfigError that
 * lists all problems.
 */
export function loadConfig<Schema extends z.ZodObject>(
  schema: Schema,
  sources: ConfigSources,
): LoadedConfig<Readonly<z.output<Schema>>> {
  const options = optionsOf(schema);
  const problems: string[] = [];
  const warnings: string[] = [];
  const values = new Map<string, Sourced>([
    ...fromAsked(sources.asked ?? [], options),
    ...(sources.file === null ? [] : fromFile(sources.file, options, problems)),
    ...fromEnvironment(sources.environment, options, warnings),
    ...fromFlags(sources.flags, options),
  ]);
  const raw = Object.fromEntries([...values].map(([key, { value }]) => [key, value]));
  const parsed = schema.safeParse(raw);
  for (const issue of parsed.error?.issues ?? []) {
    const option = options.find(({ key }) => key === issue.path[0]);
    const place = values.get(option?.key ?? '')?.place ?? placeOf(option, String(issue.path[0]));
    problems.push(`${place}: ${option?.secret === true ? withoutValue(issue.message) : issue.message}`);
  }
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problems);
  return { config: Object.freeze(parsed.data), warnings };
}

/** What a schema says of a wrong value, without the value. */
function withoutValue(message: string): string {
  return message.replace(/, got .*$/s, '; what was given is not shown, as it may be secret');
}

/** Those that the command has. */
function fromAsked(asked: readonly AskedOption[], options: readonly OptionSpec[]): [string, Sourced][] {
  const byName = new Map(options.map(({ name, key }) => [name, key]));
  return asked.flatMap(({ name, value, place }): [string, Sourced][] => {
    const key = byName.get(name);
    return key === undefined ? [] : [[key, { value, place }]];
  });
}

function fromFlags(flags: ConfigSources['flags'], options: readonly OptionSpec[]): [string, Sourced][] {
  return options
    .filter(({ key }) => flags[key] !== undefined)
    .map((option) => [option.key, { value: flags[option.key], place: placeOf(option, option.key) }]);
}

/** How an option is called on the command line. */
function placeOf(option: OptionSpec | undefined, key: string): string {
  return option?.positional === true ? option.name.toUpperCase() : `--${option?.name ?? key}`;
}

function fromEnvironment(
  environment: ConfigSources['environment'],
  options: readonly OptionSpec[],
  warnings: string[],
): [string, Sourced][] {
  const byVariable = new Map(options.map((option) => [option.variable, option]));
  const values: [string, Sourced][] = [];
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('CONCLAVE_') || notOptions.has(variable) || value === undefined) continue;
    const option = byVariable.get(variable);
    if (serviceLink.test(variable) && (option === undefined || /^\w+:\/\//.test(value))) continue;
    if (option !== undefined) values.push([option.key, { value, place: variable }]);
    else warnings.push(`${variable} is not an option of this command${didYouMean(variable, [...byVariable.keys()])}`);
  }
  return values;
}

/** What is wrong with a YAML file, without what stands there: it may be secret. */
function withoutContent(message: string): string {
  return message.split(/\n|: /, 1)[0] ?? '';
}

function fromFile(path: string, options: readonly OptionSpec[], problems: string[]): [string, Sourced][] {
  const lines = new LineCounter();
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(`--config ${path}: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  }
  let document: Document.Parsed;
  let plain: Readonly<Record<string, unknown>>;
  try {
    document = parseDocument(content, { lineCounter: lines });
    plain = document.errors.length === 0 ? document.toJS() : {};
  } catch (error) {
    problems.push(`${path}: ${error instanceof Error ? withoutContent(error.message) : 'not YAML'}`);
    return [];
  }
  const at = (offset: number): string => `${path}:${lines.linePos(offset).line}`;
  problems.push(...document.errors.map((error) => `${at(error.pos[0])}: ${withoutContent(error.message)}`));
  if (document.errors.length > 0 || document.contents === null) return [];
  if (!isMap(document.contents)) {
    problems.push(`${path}: expected a map of options such as "port: 8000"`);
    return [];
  }
  const byName = new Map(options.map((option) => [option.name, option]));
  const values: [string, Sourced][] = [];
  for (const { key, value } of document.contents.items) {
    const name = isScalar(key) ? String(key.value) : String(key);
    const place = `${at(isScalar(key) ? (key.range?.[0] ?? 0) : 0)}: ${name}`;
    const option = byName.get(name);
    if (option === undefined) problems.push(`${place}: unknown option${didYouMean(name, [...byName.keys()])}`);
    else values.push([option.key, { value: asWritten(value) ?? plain[name] ?? undefined, place }]);
  }
  return values;
}

/** The text of a number that would be written otherwise once it is a double, such as 2^53 + 1, 1e400 or 007; else null. */
function asWritten(node: unknown): string | null {
  if (!isScalar(node) || typeof node.value !== 'number' || node.source === undefined) return null;
  const kept = Number.isSafeInteger(node.value) ? !/^[+-]?0\d/.test(node.source) : String(node.value) === node.source;
  return kept ? null : node.source;
}
