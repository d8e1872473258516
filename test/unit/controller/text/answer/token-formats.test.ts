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

describe('gemma4', () => {
  const toolParser = 'gemma4';
  const call = (text: string): string => `<|tool_call>call:${text}<tool_call|>`;

  it('reads calls with text before', () => {
    const text = `Let me see. ${call('weather{city:<|"|>Paris<|"|>}')}${call('now{}')}<|tool_response>`;
    expectAnswer(text, ['Let me see. ', paris, now], { toolParser });
  });

  it.each([
    ['city:<|"|>a "b", {c}: d\\n\n]<|"|>', '{"city": "a \\"b\\", {c}: d\\\\n\\n]"}'],
    ['days:42,ratio:-3.14,metric:true,id:null', '{"days": 42, "ratio": -3.14, "metric": true, "id": null}'],
    ['id:9007199254740993', '{"id": 9007199254740993}'],
    [
      'place:{lat:{deep:<|"|>x<|"|>}},tags:[<|"|>a]b<|"|>,[1,false]]',
      '{"place": {"lat": {"deep": "x"}}, "tags": ["a]b", [1, false]]}',
    ],
    ['place:{<|"|>3<|"|>:<|"|>new text<|"|>}', '{"place": {"3": "new text"}}'],
    ['ratio:108.,tags:[]', '{"ratio": 108.0, "tags": []}'],
    ['city:Paris', '{"city": "Paris"}'],
  ])('reads the values of %s', (written, args) => {
    expectAnswer(call(`weather{${written}}`), [{ call: 'weather', args }], { toolParser });
  });

  it('reads names with dots and hyphens, and a call without its end', () => {
    expectAnswer('<|tool_call>call:a.b-c{}', [{ call: 'a.b-c', args: '{}' }], { toolParser });
  });

  it('gives back what breaks off or is none', () => {
    const cut = '<|tool_call>call:weather{city:<|"|>Par';
    expectAnswer(cut, [cut], { toolParser }, [{ call: 'weather', args: '{"city": "Par' }]);
    expectAnswer('<|tool_call>weather(1)', ['<|tool_call>weather(1)'], { toolParser });
  });

  it('reads what it thinks, and then calls', () => {
    const text = `<|channel>thought\nWhere?<channel|>${call('weather{city:<|"|>Paris<|"|>}')}`;
    expectAnswer(text, [{ reasoning: 'Where?' }, paris], { toolParser, reasoningParser: 'gemma4' });
    expectAnswer('<|channel>thought\n<channel|>Yes.', ['Yes.'], { toolParser, reasoningParser: 'gemma4' });
  });
});

describe('solar_open', () => {
  const toolParser = 'solar_open';
  const reasoningParser = 'solar_open';
  const call = (id: string, name: string, args: string): string =>
    `<|tool_call:begin|>${id}<|tool_call:name|>${name}<|tool_call:args|>${args}<|tool_call:end|>`;
  const weather = call('a1b2c3d4e5', 'weather', '{"city": "Paris"}');

  it('reads calls, whose ids are kept where they are ids and differ', () => {
    const text = `<|tool_calls|>${weather}${call('a1b2c3d4e5', 'now', '{}')}${call('NOT-VALID', 'now', '{}')}`;
    expectAnswer(
      text,
      [
        { ...paris, id: 'a1b2c3d4e5' },
        { ...now, id: 'id0' },
        { ...now, id: 'id1' },
      ],
      { toolParser },
    );
    expectAnswer(weather, [paris], { toolParser });
  });

  it('reads a text, and calls in a turn behind it', () => {
    expectAnswer(`Let me check.<|end|><|begin|>assistant<|tool_calls|>${weather}`, ['Let me check.', paris], {
      toolParser,
    });
  });

  it.each([
    ['<|think|>Done.<|end|><|begin|>assistant<|content|>Yes.', [{ reasoning: 'Done.' }, 'Yes.']],
    [`<|think|>Where?<|end|><|begin|>assistant<|tool_calls|>${weather}`, [{ reasoning: 'Where?' }, paris]],
    ['<|content|>Yes.', ['Yes.']],
    [`<|tool_calls|>${weather}`, [paris]],
    ['<|think|>Still thinking', [{ reasoning: 'Still thinking' }]],
    ['<|think|>Done.<|end|><|begin|>assistant<|content|>', [{ reasoning: 'Done.' }]],
    ['Just plain text.', ['Just plain text.']],
  ] as const)('reads what it thinks: %s', (text, expected) => {
    expectAnswer(text, expected, { toolParser, reasoningParser });
  });

  it('gives back what breaks off', () => {
    const cut = '<|tool_calls|><|tool_call:begin|>a1b2c3d4e5<|tool_call:name|>now<|tool_call:args|>{"a": ';
    expectAnswer(cut, [cut], { toolParser }, [{ call: 'now', args: '{"a": ' }]);
  });
});
