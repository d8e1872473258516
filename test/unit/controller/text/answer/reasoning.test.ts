import { describe, expect, it } from 'vitest';
import { answerFormats } from '../../../../../controller/text/answer/parser/answer-formats.ts';
import { answerParser } from '../../../../../controller/text/answer/parser/answer-parser.ts';
import { expectAnswer, type Said, type Setting } from './expect-answer.ts';

const now: Said = { call: 'now', args: '{}' };

describe('reasoning', () => {
  it.each<[string, string, readonly Said[], Setting]>([
    ['tags', '<think>\nHm\n\n so\n</think>\n\nYes.', [{ reasoning: 'Hm\n\n so' }, 'Yes.'], {}],
    ['no tags', 'Yes: <think>no</think>', ['Yes: <think>no</think>'], {}],
    ['nothing between tags', '<think>\n\n</think>\n\nYes.', ['Yes.'], {}],
    ['reasoning that does not end', '<think>Hm\n', [{ reasoning: 'Hm\n' }], {}],
    ['an answer after blanks', '\n<think>Hm</think>Yes', [{ reasoning: 'Hm' }, 'Yes'], {}],
    [
      'a prompt that opens it',
      'Hm</think>\nYes </think>',
      [{ reasoning: 'Hm' }, 'Yes </think>'],
      { prompt: 'x<think>\n' },
    ],
    [
      'a prompt that opens it, and a model that does so too',
      '<think>Hm</think>Yes',
      [{ reasoning: 'Hm' }, 'Yes'],
      { prompt: '<think>' },
    ],
    ['a prompt that closes it', 'Yes', ['Yes'], { prompt: '<think>\n\n</think>\n\n' }],
    [
      'a thought that goes on',
      ' b</think>c',
      [{ reasoning: ' b' }, 'c'],
      { prompt: '<think>a', continued: '<think>a' },
    ],
    ['an answer that goes on', ' b', [' b'], { prompt: '<think>x</think>a', continued: '<think>x</think>a' }],
    ['what begins without a mark', 'Hm</think>Yes', [{ reasoning: 'Hm' }, 'Yes'], { reasoningParser: 'deepseek_r1' }],
    ['no reasoning', 'Yes', ['Yes'], { reasoningParser: 'deepseek_r1', prompt: '<think>\n</think>\n' }],
    ['[THINK]', '[THINK]Hm[/THINK]Yes', [{ reasoning: 'Hm' }, 'Yes'], { reasoningParser: 'mistral' }],
    ['<seed:think>', '<seed:think>Hm</seed:think>Yes', [{ reasoning: 'Hm' }, 'Yes'], { reasoningParser: 'seed_oss' }],
    [
      'Command',
      '<|START_THINKING|>Hm<|END_THINKING|><|START_RESPONSE|>Yes<|END_RESPONSE|>',
      [{ reasoning: 'Hm' }, 'Yes'],
      { reasoningParser: 'cohere_command3', toolParser: 'cohere_command3' },
    ],
    [
      'Hunyuan',
      '<think>\nHm\n</think>\n<answer>\nYes.\nSo.\n</answer>',
      [{ reasoning: 'Hm' }, 'Yes.\nSo.'],
      { reasoningParser: 'hunyuan_a13b' },
    ],
    [
      'ERNIE',
      'Hm\n</think>\n\n<response>\nYes.\n</response>\n',
      [{ reasoning: 'Hm' }, 'Yes.'],
      { reasoningParser: 'ernie45', prompt: '<think>\n' },
    ],
    [
      'Granite',
      'Here is my thought process: Hm\nHere is my response: Yes',
      [{ reasoning: ' Hm' }, ' Yes'],
      { reasoningParser: 'granite' },
    ],
    [
      'Kimi, which goes over to calls',
      '<think>Hm<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>',
      [{ reasoning: 'Hm' }, now],
      { reasoningParser: 'kimi_k2', toolParser: 'kimi_k2' },
    ],
    [
      'calls behind it',
      '<think>\nUse <tool_call>?\n</think>\n\n<tool_call>\n{"name": "now"}\n</tool_call>',
      [{ reasoning: 'Use <tool_call>?' }, now],
      { toolParser: 'hermes' },
    ],
  ])('splits %s', (_, text, said, setting) => {
    expectAnswer(text, said, { reasoningParser: 'qwen3', ...setting });
  });

  it('counts tokens of reasoning without its marks', () => {
    const parser = answerParser(answerFormats([], 'none', 'qwen3'), {
      ...{ tools: null, streamed: true, parallel: true, forced: false, prompt: '', continued: null },
    });
    for (const piece of ['<think>', '\n', 'a', ' b', '</think>', '\n\n', 'c']) parser.push(piece, 1);
    expect(parser.reasoningTokens).toBe(3);
  });
});

describe('formats by template', () => {
  it.each([
    ['{{ "<tool_call>" }} <think>{% if x %}</think>', 'hermes', 'think'],
    ["'<tool_call>\\n<function=' + name + '>' <parameter=", 'qwen3_coder', null],
    ['<|channel|>analysis<|message|>', 'openai', 'openai_gptoss'],
    ['[TOOL_CALLS][THINK]', 'mistral', 'mistral'],
    ['<｜tool▁sep｜>```json </think>', 'deepseek_v3', 'think'],
    ['<arg_key> </think>', 'glm45', 'think'],
    ['{{ messages }}', null, null],
  ])('%s', (template, toolParser, reasoningParser) => {
    expect(answerFormats([template], 'auto', 'auto')).toMatchObject({ toolParser, reasoningParser });
    expect(answerFormats([template], 'none', 'none')).toMatchObject({ toolParser: null, reasoningParser: null });
  });
});
