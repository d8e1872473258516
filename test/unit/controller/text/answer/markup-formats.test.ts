import { describe, it } from 'vitest';
import type { ToolParserName } from '../../../../../controller/text/answer/parser/answer-formats.ts';
import { expectAnswer, type Said } from './expect-answer.ts';

const paris: Said = { call: 'weather', args: '{"city": "Paris"}' };
const now: Said = { call: 'now', args: '{}' };

/** How a family writes a call of `weather` with values as they stand in its text. */
interface Family {
  readonly parser: ToolParserName;
  readonly call: (tool: string, values: Readonly<Record<string, string>>) => string;
  readonly section: (...calls: string[]) => string;
}

function elements(
  values: Readonly<Record<string, string>>,
  write: (key: string, value: string) => string,
  separator = '\n',
): string {
  return Object.entries(values)
    .map(([key, value]) => `${write(key, value)}${separator}`)
    .join('');
}

const qwen = (tag: string): Omit<Family, 'parser'> => ({
  call: (tool, values) =>
    `<${tag}>\n<function=${tool}>\n${elements(values, (key, value) => `<parameter=${key}>\n${value}\n</parameter>`)}</function>\n</${tag}>`,
  section: (...calls) => calls.join('\n'),
});

const families: readonly Family[] = [
  { parser: 'qwen3_coder', ...qwen('tool_call') },
  { parser: 'seed_oss', ...qwen('seed:tool_call') },
  {
    parser: 'minimax_m2',
    call: (tool, values) =>
      `<invoke name="${tool}">\n${elements(values, (key, value) => `<parameter name="${key}">${value}</parameter>`)}</invoke>`,
    section: (...calls) => `<minimax:tool_call>\n${calls.join('\n')}\n</minimax:tool_call>`,
  },
  {
    parser: 'glm45',
    call: (tool, values) =>
      `<tool_call>${tool}\n${elements(values, (key, value) => `<arg_key>${key}</arg_key>\n<arg_value>${value}</arg_value>`)}</tool_call>`,
    section: (...calls) => calls.join('\n'),
  },
  {
    parser: 'glm47',
    call: (tool, values) =>
      `<tool_call>${tool}${elements(values, (key, value) => `<arg_key>${key}</arg_key><arg_value>${value}</arg_value>`, '')}</tool_call>`,
    section: (...calls) => calls.join(''),
  },
  {
    parser: 'hy_v3',
    call: (tool, values) =>
      `<tool_call>${tool}<tool_sep>\n${elements(values, (key, value) => `<arg_key>${key}</arg_key>\n<arg_value>${value}</arg_value>`)}</tool_call>`,
    section: (...calls) => `<tool_calls>\n${calls.join('\n')}\n</tool_calls>`,
  },
];

describe.each(families)('$parser', ({ parser: toolParser, call, section }) => {
  const expectSaid = (text: string, said: readonly Said[], streamed = said): void =>
    expectAnswer(text, said, { toolParser }, streamed);

  it('reads a call with text around it', () => {
    expectSaid(`I look.\n\n${section(call('weather', { city: 'Paris' }))}\nDone.`, ['I look.\n\n', paris, '\nDone.']);
  });

  it('reads several calls, also without arguments', () => {
    expectSaid(section(call('weather', { city: 'Paris' }), call('now', {})), [paris, now]);
  });

  it('gives arguments the types of the schema, and keeps digits', () => {
    const values = {
      city: '42',
      days: '9007199254740993',
      id: 'null',
      ratio: '1.0',
      metric: 'True',
      place: '{"lat": 1e2, "b": [null]}',
      tags: "['a', \"b's\"]",
      anything: '[1]',
    };
    const args =
      '{"city": "42", "days": 9007199254740993, "id": null, "ratio": 1.0, "metric": true, "place": {"lat": 1e2, "b": [null]}, "tags": ["a", "b\'s"], "anything": [1]}';
    expectSaid(section(call('weather', values)), [{ call: 'weather', args }]);
  });

  it('keeps what does not fit its type as a text', () => {
    const values = { days: 'many', metric: 'yes', place: '{"lat": }' };
    const args = '{"days": "many", "metric": "yes", "place": "{\\"lat\\": }"}';
    expectSaid(section(call('weather', values)), [{ call: 'weather', args }]);
  });

  it('takes tags within texts for text', () => {
    const city = 'if (a < b && "c") {\n\t</parameter> </arg_value> </function> <tool_call> \\ ☃\u{1F600}\n}';
    expectSaid(section(call('weather', { city, days: '1' })), [
      { call: 'weather', args: `{"city": ${JSON.stringify(city)}, "days": 1}` },
    ]);
  });

  it('keeps blanks of texts, and empty ones', () => {
    expectSaid(section(call('weather', { city: '  a ' })), [{ call: 'weather', args: '{"city": "  a "}' }]);
    expectSaid(section(call('weather', { city: '' })), [{ call: 'weather', args: '{"city": ""}' }]);
  });

  it('gives a call that breaks off back as text', () => {
    const whole = section(call('now', {}), call('weather', { city: 'Paris' }));
    const cut = whole.slice(0, whole.indexOf('Paris') + 2);
    const at = cut.lastIndexOf(call('weather', {}).slice(0, 8));
    expectSaid(
      cut,
      [now, cut.slice(cut[at - 1] === '\n' ? at - 1 : at)],
      [now, { call: 'weather', args: '{"city": "Pa' }],
    );
  });

  it('takes a mark alone for text', () => {
    const mark = section(call('now', {})).slice(0, 11);
    expectSaid(`${mark} is a mark`, [`${mark} is a mark`]);
  });
});

describe('DeepSeek V3.2 and V4', () => {
  const section = (name: string, calls: string): string => `<｜DSML｜${name}>\n${calls}</｜DSML｜${name}>`;
  const calls = [
    '<｜DSML｜invoke name="weather">',
    '<｜DSML｜parameter name="city" string="true">12</｜DSML｜parameter>',
    '<｜DSML｜parameter name="days" string="false">9007199254740993</｜DSML｜parameter>',
    '<｜DSML｜parameter name="tags" string="false">["a"]</｜DSML｜parameter>',
    '</｜DSML｜invoke>',
    '<｜DSML｜invoke name="now">',
    '</｜DSML｜invoke>\n',
  ].join('\n');
  const args = '{"city": "12", "days": 9007199254740993, "tags": ["a"]}';

  it.each([
    ['deepseek_v32', 'function_calls'],
    ['deepseek_v4', 'tool_calls'],
  ] as const)('%s reads calls whose values say what they are', (toolParser, name) => {
    const text = `Well.\n\n${section(name, calls)}`;
    expectAnswer(text, ['Well.\n\n', { call: 'weather', args }, now], { toolParser });
  });
});

it('reads a call of Qwen3-Coder whose outer tag is missing', () => {
  const text = '<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>';
  expectAnswer(text, [paris], { toolParser: 'qwen3_coder' });
});
