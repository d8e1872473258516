import { z } from 'zod';

/** What `--help` says of an option besides its name. */
interface OptionHelp {
  /** Heading under which it stands. */
  readonly group: string;
  readonly description: string;
  /** Stands for the value in the usage; absent for a switch. */
  readonly placeholder?: string;
  /** The default in words, where it is worked out at start. */
  readonly fallback?: string;
  /** The value of the flag when it is given without one; absent where it needs one. */
  readonly bare?: string;
  /** Given without a flag's name, after the command. */
  readonly positional?: true;
  /** The flag may be given several times. */
  readonly repeatable?: true;
  /** The value is never shown. */
  readonly secret?: true;
}

const registry = z.registry<OptionHelp>();

/** Makes an option: a schema with a default, and its help. */
export function option<Schema extends z.ZodType>(schema: Schema, help: OptionHelp): Schema {
  registry.add(schema, help);
  return schema;
}

/** Everything about one option that its command line, its variable, its YAML key and its help need. */
export interface OptionSpec extends OptionHelp {
  /** Key in the configuration, such as "maxModelLen". */
  readonly key: string;
  /** Name in flags and YAML, such as "max-model-len". */
  readonly name: string;
  /** Environment variable, such as "CONCLAVE_MAX_MODEL_LEN". */
  readonly variable: string;
  /** Value without any source; undefined for none. */
  readonly defaultValue: unknown;
}

/** The options of a command's schema, in the order of their declaration. */
export function optionsOf(schema: z.ZodObject): readonly OptionSpec[] {
  return Object.entries(schema.shape).map(([key, field]) => {
    const help = registry.get(field);
    if (help === undefined) throw new Error(`option ${key} has no help`);
    const name = key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const parsed = z.safeParse(field, undefined);
    return {
      ...help,
      key,
      name,
      variable: `CONCLAVE_${name.replaceAll('-', '_').toUpperCase()}`,
      defaultValue: parsed.success ? parsed.data : undefined,
    };
  });
}
