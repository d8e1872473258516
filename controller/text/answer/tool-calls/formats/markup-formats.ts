/** Families that write their calls as markup. */
import { type Markup, readMarkupCalls } from '../markup-calls.ts';
import type { CallGrammar, ToolFormat } from '../tool-format.ts';

function format(markup: Markup, argumentsStyle: CallGrammar['arguments'], sectionPerCall: boolean): ToolFormat {
  const { section, call, quoted } = markup;
  const [begin, end] = [`${section[0]}\n`, `\n${section[1]}`];
  return {
    begins: [section[0], call[0]],
    inner: [section[1], call[1], ...markup.parameter],
    grammar: {
      prefix: begin,
      between: sectionPerCall ? `${end}\n${begin}` : '\n',
      suffix: end,
      beginCall: (name) => `${call[0]}${name}${quoted ? '">' : '>'}\n`,
      arguments: argumentsStyle,
      endCall: call[1],
    },
    read: (source, calls, mark, tools) => readMarkupCalls(source, calls, mark, tools, markup),
  };
}

function functionMarkup(begin: string, end: string): Markup {
  return {
    section: [begin, end],
    call: ['<function=', '</function>'],
    parameter: ['<parameter=', '</parameter>'],
    ...{ quoted: false, valuesOnLines: true },
  };
}

export const qwen3Coder = format(functionMarkup('<tool_call>', '</tool_call>'), 'qwen-xml', true);
export const seedOss = format(functionMarkup('<seed:tool_call>', '</seed:tool_call>'), 'qwen-xml', true);

export const minimaxM2 = format(
  {
    section: ['<minimax:tool_call>', '</minimax:tool_call>'],
    call: ['<invoke name="', '</invoke>'],
    parameter: ['<parameter name="', '</parameter>'],
    ...{ quoted: true, valuesOnLines: false },
  },
  'minimax-xml',
  false,
);

/** DeepSeek V3.2 and V4, whose values say themselves whether they are texts. */
function dsml(section: string): ToolFormat {
  return format(
    {
      section: [`<｜DSML｜${section}>`, `</｜DSML｜${section}>`],
      call: ['<｜DSML｜invoke name="', '</｜DSML｜invoke>'],
      parameter: ['<｜DSML｜parameter name="', '</｜DSML｜parameter>'],
      ...{ quoted: true, valuesOnLines: false },
    },
    'dsml',
    false,
  );
}

export const deepseekV32 = dsml('function_calls');
export const deepseekV4 = dsml('tool_calls');
