import type { z } from 'zod';
import { optionsOf } from '../config/option.ts';

const hidden = '***';

/** A command line with the values of secret flags left out, in both forms: "--api-key KEY" and "--api-key=KEY". */
export function withoutSecrets(commandLine: readonly string[], schema: z.ZodObject): readonly string[] {
  const secret = new Set(optionsOf(schema).flatMap(({ name, secret }) => (secret === true ? [`--${name}`] : [])));
  return commandLine.map((word, index) => {
    if (secret.has(commandLine[index - 1] ?? '')) return hidden;
    const [flag = ''] = word.split('=', 1);
    return word.includes('=') && secret.has(flag) ? `${flag}=${hidden}` : word;
  });
}

/** Hides from other users of this machine, in the list of its processes, what secret flags were given. */
export function hideSecrets(schema: z.ZodObject): void {
  const commandLine = [...process.execArgv, ...process.argv.slice(1)];
  const shown = withoutSecrets(commandLine, schema);
  if (shown.some((word, index) => word !== commandLine[index])) process.title = ['node', ...shown].join(' ');
}
