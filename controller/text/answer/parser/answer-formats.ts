/** Which formats the answers of a model are read in: by its chat templates, or by name. */
import { harmonyMarks } from '../harmony/harmony-parser.ts';
import {
  type ReasoningFormat,
  type ReasoningFormatName,
  reasoningFormatOf,
  reasoningFormats,
} from '../reasoning/reasoning-format.ts';
import type { ToolFormat } from '../tool-calls/tool-format.ts';
import { type ToolFormatName, toolFormatOf, toolFormats } from './tool-formats.ts';

/** `auto`: as the template shows; `none`: the text stays as it is. */
export type ToolParserName = 'auto' | 'none' | 'openai' | ToolFormatName;
export type ReasoningParserName = 'auto' | 'none' | 'openai_gptoss' | ReasoningFormatName;

export const toolParserNames: readonly ToolParserName[] = [
  ...(['auto', 'none', 'openai'] as const),
  ...(Object.keys(toolFormats) as ToolFormatName[]),
];
export const reasoningParserNames: readonly ReasoningParserName[] = [
  ...(['auto', 'none', 'openai_gptoss'] as const),
  ...(Object.keys(reasoningFormats) as ReasoningFormatName[]),
];

export interface AnswerFormats {
  /** Names as in `--tool-call-parser` and `--reasoning-parser`, with what `auto` found; null: none. */
  readonly toolParser: Exclude<ToolParserName, 'auto' | 'none'> | null;
  readonly reasoningParser: Exclude<ReasoningParserName, 'auto' | 'none'> | null;
  /** Harmony reads both at once. */
  readonly harmony: boolean;
  readonly tools: ToolFormat | null;
  readonly reasoning: ReasoningFormat | null;
}

/** `templates`: the sources of the chat templates; the one for tools last. */
export function answerFormats(
  templates: readonly string[],
  toolParser: ToolParserName,
  reasoningParser: ReasoningParserName,
): AnswerFormats {
  const source = templates.at(-1) ?? '';
  const gptOss = source.includes('<|channel|>') && source.includes('<|message|>');
  const tools = toolParser === 'auto' ? (gptOss ? 'openai' : toolFormatOf(source)) : named(toolParser);
  const all = templates.join('\n');
  const reasoning =
    reasoningParser === 'auto' ? (gptOss ? 'openai_gptoss' : reasoningFormatOf(all)) : named(reasoningParser);
  return {
    toolParser: tools,
    reasoningParser: reasoning,
    harmony: tools === 'openai' || reasoning === 'openai_gptoss',
    tools: tools === null || tools === 'openai' ? null : toolFormats[tools],
    reasoning: reasoning === null || reasoning === 'openai_gptoss' ? null : reasoningFormats[reasoning],
  };
}

function named<Name extends string>(name: Name): Exclude<Name, 'auto' | 'none'> | null {
  return name === 'none' ? null : (name as Exclude<Name, 'auto' | 'none'>);
}

/** Marks that must be seen in a text where they are special tokens. */
export function marksOf(formats: AnswerFormats, withTools: boolean): readonly string[] {
  if (formats.harmony) return harmonyMarks;
  const { reasoning, tools } = formats;
  return [
    ...(reasoning === null
      ? []
      : [...reasoning.begins, ...reasoning.ends, ...reasoning.framing, ...(reasoning.heading ?? [])]),
    ...(tools === null || !withTools ? [] : [...tools.begins, ...(tools.inner ?? []), ...(tools.framing ?? [])]),
  ];
}

/**
 * The format in which calls are enforced: the model's own where its arguments are JSON, else JSON in tags, so that a request that
 * demands a call gets one of every model.
 */
export function enforcedFormat({ tools }: AnswerFormats): ToolFormat {
  return tools?.grammar?.arguments === 'json' ? tools : toolFormats.hermes;
}
