import { describe, it } from 'vitest';
import type { ToolParserName } from '../../../../../controller/text/answer/parser/answer-formats.ts';
import { expectAnswer, type Said } from './expect-answer.ts';

interface Case {
  readonly name: string;
  readonly text: string;
  readonly said: readonly Said[];
  /** What a stream has said where a call breaks off. */
  readonly streamed?: readonly Said[];
}

const paris: Said = { call: 'weather', args: '{"city": "Paris"}' };
const now: Said = { call: 'now', args: '{}' };

/** Arguments with everything that a reader by tags, braces or doubles gets wrong. */
const hard = String.raw`{"city": "a \"quoted\" } ] </tool_call> <|END_ACTION|> \u00e9\ud83d\ude00 ☃ \\", "days": 9007199254740993, "ratio": 1.0, "place": {"lat": [{"x": {}}, -1.5e-7]}, "tags": []}`;

const formats: Partial<Record<ToolParserName, readonly Case[]>> = {
  hermes: [
    {
      name: 'a call with text around it',
      text: 'I look.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>\nDone.',
      said: ['I look.\n', paris, '\nDone.'],
    },
    {
      name: 'several calls',
      text: '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>\n',
      said: [paris, now],
    },
    {
      name: 'a call whose end tag is missing',
      text: '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}',
      said: [paris],
    },
    { name: 'no arguments', text: '<tool_call>{"name": "now"}</tool_call>', said: [now] },
    { name: 'null for arguments', text: '<tool_call>{"name": "now", "arguments": null}</tool_call>', said: [now] },
    {
      name: 'arguments before the name',
      text: '<tool_call>{"arguments": {"city": "Paris"}, "name": "weather"}</tool_call>',
      said: [paris],
    },
    {
      name: 'arguments within a string',
      text: String.raw`<tool_call>{"name": "weather", "arguments": "{\"city\": \"Paris\"}"}</tool_call>`,
      said: [paris],
    },
    {
      name: 'a line end within a text, as no JSON has it',
      text: '<tool_call>{"name": "weather", "arguments": {"city": "a\nb"}}</tool_call>',
      said: [{ call: 'weather', args: '{"city": "a\\nb"}' }],
    },
    {
      name: 'a tool that the request does not have',
      text: '<tool_call>{"name": "other", "arguments": {"a": 1}}</tool_call>',
      said: [{ call: 'other', args: '{"a": 1}' }],
    },
    {
      name: 'what is no JSON',
      text: 'x <tool_call>{"name": "weather", arguments}</tool_call> y',
      said: ['x <tool_call>{"name": "weather", arguments}</tool_call> y'],
    },
    {
      name: 'arguments that break off',
      text: '<tool_call>{"name": "weather", "arguments": {"city": "Par',
      said: ['<tool_call>{"name": "weather", "arguments": {"city": "Par'],
      streamed: [{ call: 'weather', args: '{"city": "Par' }],
    },
    {
      name: 'a broken call before a whole one',
      text: '<tool_call>{"nam\n<tool_call>{"name": "now", "arguments": {}}</tool_call>',
      said: ['<tool_call>{"nam\n', now],
    },
    { name: 'tags with nothing in them', text: '<tool_call></tool_call>', said: ['<tool_call></tool_call>'] },
    { name: 'the beginning of a tag', text: 'a < b <tool_ca', said: ['a < b <tool_ca'] },
    { name: 'blanks alone', text: ' \n', said: [' \n'] },
  ],
  llama3_json: [
    { name: 'an answer that is a call', text: '{"name": "weather", "parameters": {"city": "Paris"}}', said: [paris] },
    {
      name: 'one behind the tag, with text before',
      text: 'So: <|python_tag|>{"name": "weather", "parameters": {"city": "Paris"}}',
      said: ['So: ', paris],
    },
    {
      name: 'several calls',
      text: '<|python_tag|>{"name": "weather", "parameters": {"city": "Paris"}}; {"type": "function", "name": "now", "parameters": {}}',
      said: [paris, now],
    },
    { name: 'an answer in JSON', text: '{"name": "Bob", "age": 3}', said: ['{"name": "Bob", "age": 3}'] },
    {
      name: 'JSON that has the name of a tool and more',
      text: ' {"name": "now", "age": 3}',
      said: [' {"name": "now", "age": 3}'],
    },
    { name: 'code behind the tag', text: '<|python_tag|>print(1)', said: ['<|python_tag|>print(1)'] },
    { name: 'a text', text: 'Hi {"name": "now", "parameters": {}}', said: ['Hi {"name": "now", "parameters": {}}'] },
  ],
  mistral: [
    {
      name: 'a list',
      text: '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Paris"}}, {"name": "now", "arguments": {}, "id": "abcdefghi"}]',
      said: [paris, now],
    },
    {
      name: 'names and arguments',
      text: 'Well.[TOOL_CALLS]weather[ARGS]{"city": "Paris"}[TOOL_CALLS]now[ARGS]{}',
      said: ['Well.', paris, now],
    },
    {
      name: 'an id of its own',
      text: '[TOOL_CALLS]weather[CALL_ID]Ab3456789[ARGS]{"city": "Paris"}',
      said: [{ ...paris, id: 'Ab3456789' }],
    },
    { name: 'no mark before arguments', text: '[TOOL_CALLS]weather{"city": "Paris"}', said: [paris] },
    { name: 'what is no call', text: '[TOOL_CALLS] maybe\nnot', said: ['[TOOL_CALLS] maybe\nnot'] },
    {
      name: 'a second call that breaks off',
      text: '[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]wea',
      said: [now, '[TOOL_CALLS]wea'],
    },
  ],
  granite: [
    { name: 'a token', text: '<|tool_call|>[{"name": "weather", "arguments": {"city": "Paris"}}]', said: [paris] },
    {
      name: 'a text',
      text: '<tool_call>[{"name": "weather", "arguments": {"city": "Paris"}}, {"name": "now"}]',
      said: [paris, now],
    },
    { name: 'an empty list', text: '<tool_call>[]', said: ['<tool_call>[]'] },
  ],
  hunyuan_a13b: [
    {
      name: 'a list',
      text: 'Yes.<tool_calls>[\n{"name": "weather", "arguments": {"city": "Paris"}},\n{"name": "now", "arguments": {}}\n]</tool_calls>',
      said: ['Yes.', paris, now],
    },
  ],
  phi4_mini_json: [
    {
      name: 'a list',
      text: '<|tool_call|>[{"type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}]<|/tool_call|>',
      said: [paris],
    },
    { name: 'a word', text: 'functools[{"name": "now", "arguments": {}}]', said: [now] },
    { name: 'the word alone', text: 'Use functools for it.', said: ['Use functools for it.'] },
  ],
  cohere_command3: [
    {
      name: 'a list and a response',
      text: '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "weather", "parameters": {"city": "Paris"}},\n    {"tool_call_id": "1", "tool_name": "now", "parameters": {}}\n]<|END_ACTION|>',
      said: [paris, now],
    },
    { name: 'a response', text: '<|START_RESPONSE|>Hi.<|END_RESPONSE|>', said: ['Hi.'] },
    {
      name: 'a block of code',
      text: 'Plan: look\nAction: ```json\n[{"tool_name": "weather", "parameters": {"city": "Paris"}}]\n```',
      said: ['Plan: look\n', paris],
    },
  ],
};

describe.each(Object.entries(formats))('%s', (parser, cases) => {
  const toolParser = parser as ToolParserName;
  it.each(cases)('reads $name', ({ text, said, streamed }) => {
    expectAnswer(text, said, { toolParser }, streamed ?? said);
  });
});

it.each<[ToolParserName, (args: string) => string]>([
  ['hermes', (args) => `<tool_call>\n{"name": "weather", "arguments": ${args}}\n</tool_call>`],
  ['llama3_json', (args) => `{"name": "weather", "parameters": ${args}}`],
  ['mistral', (args) => `[TOOL_CALLS]weather[ARGS]${args}`],
  ['mistral', (args) => `[TOOL_CALLS][{"name": "weather", "arguments": ${args}}]`],
  ['granite', (args) => `<|tool_call|>[{"name": "weather", "arguments": ${args}}]`],
  ['hunyuan_a13b', (args) => `<tool_calls>[{"name": "weather", "arguments": ${args}}]</tool_calls>`],
  ['cohere_command3', (args) => `<|START_ACTION|>[{"tool_name": "weather", "parameters": ${args}}]<|END_ACTION|>`],
  [
    'kimi_k2',
    (args) =>
      `<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>${args}<|tool_call_end|><|tool_calls_section_end|>`,
  ],
  [
    'deepseek_v3',
    (args) =>
      `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n\`\`\`json\n${args}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
  ],
  ['openai', (args) => `<|channel|>commentary to=functions.weather <|constrain|>json<|message|>${args}<|call|>`],
])('%s keeps arguments as they are written', (toolParser, write) => {
  expectAnswer(write(hard), [{ call: 'weather', args: hard }], { toolParser });
});

it('leaves further calls out where one is wanted', () => {
  const text = '<tool_call>{"name": "now"}</tool_call><tool_call>{"name": "weather", "arguments": {}}</tool_call>!';
  expectAnswer(text, [now, '!'], { toolParser: 'hermes', parallel: false });
});

it('finds no calls where the request has no tools', () => {
  const text = '<tool_call>{"name": "now"}</tool_call>';
  expectAnswer(text, [text], { toolParser: 'hermes', tools: null });
});

it.each<ToolParserName>(['glm45', 'none', 'qwen3_coder'])(
  '%s reads calls that are enforced as JSON in tags',
  (toolParser) => {
    const text = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>';
    expectAnswer(text, [paris], { toolParser, forced: true });
  },
);
