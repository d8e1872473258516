import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../../../../proto/messages.ts';
import { ofSchema } from './compiled.ts';
import { recognizes } from './recognizer.ts';

interface Group {
  readonly description: string;
  readonly schema: unknown;
  readonly tests: readonly { readonly description: string; readonly data: unknown; readonly valid: boolean }[];
}

const folder = join(packageRoot, 'test/fixtures/json-schema');
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));

/** Valid values that are not written: what docs/structured-output.md says of properties, items, formats and numbers. */
const notWritten: Readonly<Record<string, number>> = {
  additionalProperties: 1,
  allOf: 2,
  anyOf: 1,
  const: 1,
  format: 10,
  prefixItems: 2,
  properties: 1,
  uniqueItems: 4,
  vocabulary: 1,
};

/** The suite's cases of a keyword: how many values are accepted, and which are so wrongly. */
function run(file: string) {
  const groups = JSON.parse(readFileSync(join(folder, file), 'utf8')) as readonly Group[];
  const wrong: string[] = [];
  const refused: string[] = [];
  let missed = 0;
  for (const { description, schema, tests } of groups) {
    let grammar: ReturnType<typeof ofSchema>;
    try {
      grammar = ofSchema(schema);
    } catch (error) {
      refused.push((error as Error).message);
      continue;
    }
    for (const { data, valid } of tests) {
      const accepted = recognizes(grammar, JSON.stringify(data));
      if (accepted && !valid) wrong.push(`${description}: ${JSON.stringify(data)}`);
      if (!accepted && valid) missed++;
    }
  }
  return { wrong, refused, missed };
}

describe("the official suite's cases of JSON Schema 2020-12", () => {
  it.each(files)('%s: no invalid value is written, and what is not enforced is refused by its keyword', (file) => {
    const { wrong, refused, missed } = run(file);
    expect(wrong).toEqual([]);
    expect(missed).toBe(notWritten[file.replace('.json', '')] ?? 0);
    for (const problem of refused) expect(problem).toMatch(/^schema[.[\w$\]-]*: ./);
  });
});
