import { afterEach, describe, expect, it } from 'vitest';
import {
  type TemplateLimits,
  type TemplateProcess,
  templateProcess,
} from '../../../controller/text/isolated/template-process.ts';

const generous = { timeMs: 60_000, memoryBytes: 128 * 2 ** 20, characters: 2 ** 20, maxWaiting: 4 };
const opened: TemplateProcess[] = [];
afterEach(() => Promise.all(opened.splice(0).map((process) => process.close())));

/** Renders `source`, or with `variables` the template `{{ a }}` beside it. */
function start(source: string, limits: Partial<TemplateLimits> = {}) {
  const templates = { hostile: { name: 'chat_template.jinja', source }, good: { name: 'good', source: '{{ a }}' } };
  const process = templateProcess(Object.values(templates), { ...generous, ...limits });
  opened.push(process);
  return {
    process,
    hostile: () => process.render(templates.hostile, '{}', null),
    good: (a: string) => process.render(templates.good, JSON.stringify({ a }), null),
    check: () => process.check(templates.hostile),
  };
}

const repeat = (body: string) =>
  `{% set ns = namespace(x="ab", list=[1]) %}{% for i in range(60) %}${body}{% endfor %}`;
const endless = '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}';
const fast = { timeMs: 1_000 };
const time = 'did not end within its time limit of 1.0 s';
const memory = 'needs more than its memory limit of 128 MiB';

describe('a hostile chat template', () => {
  it.each([
    ['doubles a list', repeat('{% set ns.list = ns.list + ns.list %}'), {}, memory],
    ['loops in loops', endless, fast, time],
    [
      'doubles a text',
      `${repeat('{% if i < 25 %}{% set ns.x = ns.x ~ ns.x %}{% endif %}')}{{ ns.x }}`,
      {},
      'made a prompt of more than 1048576 characters',
    ],
  ])('that %s meets its limit, and the next conversations are rendered', async (_, source, limits, reason) => {
    const { hostile, good } = start(source, limits);
    const [first, refused, ...others] = [good('0'), hostile(), good('1'), good('2'), good('3')];
    const message = `the chat template of the model (chat_template.jinja) ${reason}`;
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'messages', message });
    expect(await Promise.all([first, ...others])).toEqual(['0', '1', '2', '3']);
  });

  it.each([
    ['doubles a text without end', `${repeat('{% set ns.x = ns.x ~ ns.x %}')}{{ ns.x }}`, 'Invalid string length'],
    [
      'calls itself without end',
      '{% macro f(self, n) %}{{ self(self, n + 1) }}{% endmacro %}{{ f(f, 0) }}',
      'Maximum call stack size exceeded',
    ],
    ['raises a long text', `{{ raise_exception('${'long'.repeat(100_000)}') }}`, 'longlong'],
  ])('that %s is refused', async (_, source, message) => {
    const { hostile, good } = start(source);
    const refusal = await hostile().catch((error: Error) => error.message);
    expect(refusal).toContain(message);
    expect(refusal.length).toBeLessThan(3_000);
    expect(await good('fine')).toBe('fine');
  });

  it('that is long is parsed in time that grows with its length alone', async () => {
    const { check, good } = start(`${' '.repeat(900_000)}x${'{% if a %}{# b #}{{ c }}{% endif %}'.repeat(3_000)}`);
    await check();
    expect(await good('fine')).toBe('fine');
  });

  it('holds up neither the event loop nor the end of the server', async () => {
    const { process, hostile } = start(endless);
    const ended = hostile().catch((error: unknown) => error);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    await process.close();
    expect(await ended).toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('the process for chat templates', () => {
  it('has a bounded number of conversations waiting', async () => {
    const { good } = start('', { maxWaiting: 2 });
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => good('x')));
    // One that it works on, eight that it has, two that wait.
    expect(results.map(({ status }) => status)).toEqual([...Array(11).fill('fulfilled'), ...Array(9).fill('rejected')]);
    expect(results.at(-1)).toMatchObject({ reason: { code: 'OVERLOADED' } });
  });
});
