/** How models write what they think before they answer. */
export interface ReasoningFormat {
  readonly begins: readonly string[];
  readonly ends: readonly string[];
  /** Marks around the answer itself, which are left out. */
  readonly framing: readonly string[];
  /** Marks before the answer, with or without reasoning before them, which are left out. */
  readonly heading?: readonly string[];
  /** Whether answers begin within reasoning although no prompt says so. */
  readonly implied?: boolean;
}

function between(begin: string, end: string, ...framing: readonly string[]): ReasoningFormat {
  return { begins: [begin], ends: [end], framing };
}

const think = between('<think>', '</think>');
const hunyuan = between('<think>', '</think>', '<answer>', '</answer>');
const ernie = between('<think>', '</think>', '<response>', '</response>');
const granite: ReasoningFormat = {
  begins: ['Here is my thought process:', "Here's my thought process:"],
  ends: ['Here is my response:', "Here's my response:"],
  framing: [],
};

/** By the names that vLLM gives their parsers; `think` is for all that write the tag themselves, or whose prompt does. */
export const reasoningFormats = {
  think,
  deepseek_r1: { ...think, implied: true },
  deepseek_v3: think,
  deepseek_v4: think,
  qwen3: think,
  glm45: think,
  glm47: think,
  minimax_m2: think,
  hy_v3: think,
  olmo3: think,
  // It goes over to its calls without an end of what it thinks.
  kimi_k2: { ...think, ends: ['</think>', '<|tool_calls_section_begin|>'] },
  mistral: between('[THINK]', '[/THINK]'),
  seed_oss: between('<seed:think>', '</seed:think>'),
  cohere_command3: between('<|START_THINKING|>', '<|END_THINKING|>'),
  hunyuan_a13b: hunyuan,
  ernie45: ernie,
  granite,
  gemma4: { begins: ['<|channel>thought', '<|channel>'], ends: ['<channel|>'], framing: [] },
  solar_open: { ...between('<|think|>', '<|end|>'), heading: ['<|begin|>assistant', '<|content|>'] },
} as const satisfies Readonly<Record<string, ReasoningFormat>>;

export type ReasoningFormatName = keyof typeof reasoningFormats;

/** The first that a template's source has all texts of counts. */
const signs: readonly (readonly [ReasoningFormatName, ...string[]])[] = [
  ['gemma4', '<channel|>'],
  ['solar_open', '<|think|>', '<|content|>'],
  ['seed_oss', '<seed:think>'],
  ['mistral', '[THINK]'],
  ['cohere_command3', '<|START_THINKING|>'],
  ['granite', 'Here is my thought process:'],
  ['kimi_k2', '<|tool_calls_section_begin|>', '</think>'],
  ['hunyuan_a13b', '<think>', '<answer>'],
  ['ernie45', '<think>', '<response>'],
  ['think', '</think>'],
];

/** The format that the model of a template writes; null where it shows none. */
export function reasoningFormatOf(template: string): ReasoningFormatName | null {
  return signs.find(([, ...texts]) => texts.every((text) => template.includes(text)))?.[0] ?? null;
}

/** Whether a prompt ends within reasoning, which the answer then goes on with. `continued`: the text of a last message that goes on. */
export function beginsInside(
  { begins, ends, implied = false }: ReasoningFormat,
  prompt: string,
  continued: string | null,
): boolean {
  if (continued !== null) {
    const last = (marks: readonly string[]): number => Math.max(...marks.map((mark) => continued.lastIndexOf(mark)));
    if (last(begins) >= 0) return last(begins) > last(ends);
  }
  const end = prompt.trimEnd();
  return begins.some((begin) => end.endsWith(begin)) || (implied && !ends.some((mark) => end.endsWith(mark)));
}
