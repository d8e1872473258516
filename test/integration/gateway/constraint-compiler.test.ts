import { afterAll, expect, it } from 'vitest';
import { ConstraintCompiler } from '../../../controller/text/constraint/constraint-compiler.ts';
import type { ConstraintTask } from '../../../controller/text/constraint/request/constraint-spec.ts';

const compiler = new ConstraintCompiler();
afterAll(() => compiler.close());

function ofSchema(schema: object): ConstraintTask {
  return { spec: { kind: 'json', schema: JSON.stringify(schema), path: 'schema' }, preamble: null, tokens: [] };
}

it('compiles once for requests that come together, though one of them is given up, and for those that come later', async () => {
  const task = ofSchema({ type: 'object', properties: { count: { type: 'integer' } } });
  const abandoned = new AbortController();
  const first = compiler.compile(task, abandoned.signal);
  const second = compiler.compile(task, null);
  abandoned.abort(new Error('gone'));
  await expect(first).rejects.toThrow('gone');
  const grammar = await second;
  expect(await compiler.compile(task, null)).toBe(grammar);
});

it('refuses a constraint that cannot be enforced to all that come with it, and compiles on', async () => {
  const refused = ofSchema({ not: {} });
  const answers = await Promise.allSettled([compiler.compile(refused, null), compiler.compile(refused, null)]);
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(compiler.compile(refused, null)).rejects.toMatchObject({ field: 'schema.not' });
  expect((await compiler.compile(ofSchema({ type: 'boolean' }), null)).final.length).toBeGreaterThan(0);
});
