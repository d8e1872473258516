/** Formats of tool calls by the names that vLLM gives their parsers, and how a chat template shows which one its model writes. */
import { command } from '../tool-calls/formats/command.ts';
import { deepseekV3, deepseekV31 } from '../tool-calls/formats/deepseek.ts';
import { gemma4 } from '../tool-calls/formats/gemma4.ts';
import { glm45, hunyuanV3 } from '../tool-calls/formats/glm.ts';
import { hermes } from '../tool-calls/formats/hermes.ts';
import { granite, hunyuan, phi4Mini } from '../tool-calls/formats/json-lists.ts';
import { kimiK2 } from '../tool-calls/formats/kimi-k2.ts';
import { llama3 } from '../tool-calls/formats/llama3.ts';
import { deepseekV4, deepseekV32, minimaxM2, qwen3Coder, seedOss } from '../tool-calls/formats/markup-formats.ts';
import { mistral } from '../tool-calls/formats/mistral.ts';
import { olmo3, pythonic } from '../tool-calls/formats/pythonic.ts';
import { solarOpen } from '../tool-calls/formats/solar-open.ts';
import type { ToolFormat } from '../tool-calls/tool-format.ts';

/** `openai` is missing here: harmony writes reasoning, content and calls as one (harmony/). */
export const toolFormats = {
  hermes,
  qwen3_coder: qwen3Coder,
  qwen3_xml: qwen3Coder,
  minimax_m2: minimaxM2,
  seed_oss: seedOss,
  llama3_json: llama3,
  llama4_json: llama3,
  llama4_pythonic: pythonic,
  pythonic,
  olmo3,
  mistral,
  deepseek_v3: deepseekV3,
  deepseek_v31: deepseekV31,
  deepseek_v32: deepseekV32,
  deepseek_v4: deepseekV4,
  glm45,
  glm47: glm45,
  hy_v3: hunyuanV3,
  kimi_k2: kimiK2,
  granite,
  granite4: hermes,
  cohere_command3: command,
  hunyuan_a13b: hunyuan,
  phi4_mini_json: phi4Mini,
  ernie45: hermes,
  gemma4,
  solar_open: solarOpen,
} as const satisfies Readonly<Record<string, ToolFormat>>;

export type ToolFormatName = keyof typeof toolFormats;

/** What a template's source has where its model writes a format; the first that has all of its texts counts. */
const signs: readonly (readonly [ToolFormatName, ...string[]])[] = [
  ['deepseek_v4', '｜DSML｜', 'tool_calls>'],
  ['deepseek_v32', '｜DSML｜'],
  ['deepseek_v3', '<｜tool▁sep｜>', '```json'],
  ['deepseek_v31', '<｜tool▁sep｜>'],
  ['kimi_k2', '<|tool_call_begin|>'],
  ['solar_open', '<|tool_call:begin|>'],
  ['gemma4', '<|tool_call>'],
  ['minimax_m2', '<minimax:tool_call>'],
  ['seed_oss', '<seed:tool_call>'],
  ['qwen3_coder', '<function=', '<parameter='],
  ['hy_v3', '<tool_sep>'],
  ['glm45', '<arg_key>'],
  ['mistral', '[TOOL_CALLS]'],
  ['cohere_command3', '<|START_ACTION|>'],
  ['cohere_command3', 'Action: ```json'],
  ['olmo3', '<function_calls>'],
  ['hunyuan_a13b', '<tool_calls>'],
  ['phi4_mini_json', '<|/tool_call|>'],
  ['phi4_mini_json', '<|/tool|>'],
  ['granite', '<|tool_call|>'],
  ['granite', 'start_of_role', '<tool_call>['],
  ['hermes', '<tool_call>'],
  ['pythonic', '<|python_start|>'],
  ['pythonic', 'func_name1(params_name1=params_value1'],
  ['llama3_json', '<|python_tag|>'],
  ['llama3_json', '"parameters": dictionary of argument name'],
];

/** The format that the model of a template writes; null where it shows none. */
export function toolFormatOf(template: string): ToolFormatName | null {
  return signs.find(([, ...texts]) => texts.every((text) => template.includes(text)))?.[0] ?? null;
}
