import { describe, it } from 'vitest';
import { expectAnswer, type Said } from './expect-answer.ts';

const paris: Said = { call: 'weather', args: '{"city": "Paris"}' };
const now: Said = { call: 'now', args: '{}' };

describe('deepseek', () => {
  const v3 = (name: string, args: string): string =>
    `<｜tool▁call▁begin｜>function<｜tool▁sep｜>${name}\n\`\`\`json\n${args}\n\`\`\`<｜tool▁call▁end｜>`;
  const v31 = (name: string, args: string): string =>
    `<｜tool▁call▁begin｜>${name}<｜tool▁sep｜>${args}<｜tool▁call▁end｜>`;
  const section = (...calls: string[]): string => `<｜tool▁calls▁begin｜>${calls.join('')}<｜tool▁calls▁end｜>`;

  it.each([
    ['deepseek_v3', v3],
    ['deepseek_v31', v31],
  ] as const)('%s reads several calls with text before', (toolParser, call) => {
    const text = `Yes.${section(call('weather', '{"city": "Paris"}'), '\n', call('now', '{}'))}`;
    expectAnswer(text, ['Yes.', paris, now], { toolParser });
  });

  it('gives back what breaks off', () => {
    const cut = '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{"a": ';
    expectAnswer(cut, [cut], { toolParser: 'deepseek_v31' }, [{ call: 'now', args: '{"a": ' }]);
    expectAnswer('<｜tool▁calls▁begin｜>no', ['<｜tool▁calls▁begin｜>no'], { toolParser: 'deepseek_v3' });
  });

  it('reads a call whose end and section are missing', () => {
    expectAnswer(v31('now', '{}').replace('<｜tool▁call▁end｜>', ''), [now], { toolParser: 'deepseek_v31' });
  });
});

describe('kimi_k2', () => {
  const call = (id: string, args: string): string =>
    `<|tool_call_begin|>${id}<|tool_call_argument_begin|>${args}<|tool_call_end|>`;
  const toolParser = 'kimi_k2';

  it('keeps ids', () => {
    const text = `On it.<|tool_calls_section_begin|>${call('functions.weather:0', '{"city": "Paris"}')}${call('functions.now:1', '{}')}<|tool_calls_section_end|>`;
    expectAnswer(text, ['On it.', { ...paris, id: 'functions.weather:0' }, { ...now, id: 'functions.now:1' }], {
      toolParser,
    });
  });

  it('gives back what is no call', () => {
    const text = `<|tool_calls_section_begin|>${call('functions.now:0', '{}')} and <|tool_call_begin|>x`;
    expectAnswer(text, [now, 'and <|tool_call_begin|>x'], { toolParser });
  });
});

describe('pythonic', () => {
  const toolParser = 'llama4_pythonic';

  it('reads a list of calls', () => {
    expectAnswer('[weather(city="Paris"), now()]', [paris, now], { toolParser });
    expectAnswer('<|python_start|>[weather(city="Paris")]<|python_end|>', [paris], { toolParser });
  });

  it('makes literals JSON', () => {
    const text = String.raw`[weather(city='it\'s "x"\n\x41\u00e9', days=9_007_199_254_740_993, id=None, metric=True, ratio=-.5, place={'lat': (1, 2.50), 3: 'x'}, tags=[])]`;
    const args = String.raw`{"city": "it's \"x\"\nAé", "days": 9007199254740993, "id": null, "metric": true, "ratio": -0.5, "place": {"lat": [1, 2.50], "3": "x"}, "tags": []}`;
    expectAnswer(text, [{ call: 'weather', args }], { toolParser });
  });

  it.each(['[1, 2, 3]', '[other(a=1)]', '[now', 'See [now()]', '[now(1)]', '[now(a=b)]'])(
    'takes %s for text',
    (text) => {
      expectAnswer(
        text,
        [text],
        { toolParser },
        text === '[now(a=b)]' ? [{ call: 'now', args: '{"a": ' }, 'b)]'] : [text],
      );
    },
  );

  it('reads lines between tags', () => {
    const text = 'Hm.<function_calls>\nweather(city="Paris")\nnow()\n</function_calls>';
    expectAnswer(text, ['Hm.', paris, now], { toolParser: 'olmo3' });
  });
});

describe('openai', () => {
  const setting = { toolParser: 'openai', reasoningParser: 'openai_gptoss' } as const;

  it('tells channels apart', () => {
    const text =
      '<|channel|>analysis<|message|>Need it.<|end|><|start|>assistant<|channel|>commentary<|message|>I look.<|end|>' +
      '<|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>';
    expectAnswer(text, [{ reasoning: 'Need it.' }, 'I look.', paris], setting);
  });

  it('reads a recipient before the channel, and calls without end', () => {
    const text =
      '<|channel|>analysis<|message|>Hm<|end|><|start|>assistant to=functions.weather<|channel|>commentary json<|message|>{"city": "Paris"}<|end|>' +
      '<|start|>assistant<|channel|>commentary to=functions.now<|message|>{}';
    expectAnswer(text, [{ reasoning: 'Hm' }, paris, now], setting);
  });

  it('reads a final answer, and one that no header comes before', () => {
    const final = '<|channel|>final<|message|>It is 3 < 4.<|return|>';
    expectAnswer(
      `<|channel|>analysis<|message|>Easy<|end|><|start|>assistant${final}`,
      [{ reasoning: 'Easy' }, 'It is 3 < 4.'],
      setting,
    );
    expectAnswer('It is.', ['It is.'], setting);
    expectAnswer(
      'so it is.<|end|><|start|>assistant<|channel|>final<|message|>Yes',
      [{ reasoning: 'so it is.' }, 'Yes'],
      {
        ...setting,
        prompt: '<|start|>assistant<|channel|>analysis<|message|>',
      },
    );
  });

  it('gives a body that is no JSON back as content', () => {
    const text = '<|channel|>commentary to=functions.now<|message|>no JSON<|call|>';
    expectAnswer(text, ['no JSON'], setting);
    const cut = '<|channel|>commentary to=functions.weather<|message|>{"city": "Pa';
    expectAnswer(cut, ['{"city": "Pa'], setting, [{ call: 'weather', args: '{"city": "Pa' }]);
  });

  it('leaves reasoning in the content where it is not split', () => {
    const text = '<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes';
    expectAnswer(text, ['HmYes'], { toolParser: 'openai' });
  });
});
