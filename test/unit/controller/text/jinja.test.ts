/** Templates render as Python's jinja2 renders them; test/fixtures/jinja/make.py asked it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Template } from '../../../../controller/text/jinja/template.ts';
import { parseJson } from '../../../../controller/text/jinja/values/from-json.ts';
import { JinjaError } from '../../../../controller/text/jinja/values/template-error.ts';
import { packageRoot } from '../../../../proto/package-root.ts';

const folder = join(packageRoot, 'test/fixtures/jinja');
const variables = parseJson(readFileSync(join(folder, 'variables.json'), 'utf8'));
const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as readonly (readonly [
  string,
  string | null,
])[];

function rendered(template: string): string | null {
  try {
    return new Template(template).render(variables);
  } catch (error) {
    if (error instanceof JinjaError) return null;
    throw new Error(template, { cause: error });
  }
}

describe('templates', () => {
  it('render as Python does, or fail where it fails', () => {
    expect(cases.length).toBeGreaterThan(5_000);
    const different = cases.flatMap(([template, expected]) => {
      const got = rendered(template);
      return got === expected ? [] : [{ template, expected, got }];
    });
    expect(different).toEqual([]);
  });

  it('show the time in the C locale', () => {
    const now = () => new Date(2026, 10, 5, 7, 8, 9);
    const codes = '%a %A %b %B %d %-d %e %H %I %j %m %M %p %S %y %Y %F %T %D %% %U %W %u';
    expect(new Template(`{{ strftime_now('${codes}') }}`, now).render([])).toBe(
      'Thu Thursday Nov November 05 5  5 07 07 309 11 08 AM 09 26 2026 2026-11-05 07:08:09 11/05/26 % 44 44 4',
    );
  });

  it('say what they refuse, and where they do not parse', () => {
    expect(() => new Template("{{ raise_exception('roles must alternate') }}").render([])).toThrow(
      'roles must alternate',
    );
    expect(() => new Template('a\nb\n{% nosuch %}')).toThrow("line 3: Encountered unknown tag 'nosuch'.");
    expect(() => new Template('{{ x.y.z }}').render([])).toThrow("'x' is undefined");
  });
});
