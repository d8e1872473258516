/** Families that write their calls as one JSON list behind a mark. */
import { readJsonCalls } from '../json-call.ts';
import { jsonCalls, type ToolFormat } from '../tool-format.ts';

function jsonList(begins: readonly [string, ...string[]], ends: readonly [string, ...string[]]): ToolFormat {
  return {
    begins,
    inner: ends,
    grammar: jsonCalls(`${begins[0]}[`, `]${ends[0]}`),
    *read(source, calls) {
      yield* source.blanks();
      yield* readJsonCalls(source, calls);
      yield* source.blanks();
      yield* source.option(ends);
    },
  };
}

/** Granite 3: the mark is a token in 3.0, a text since 3.1. */
export const granite = jsonList(['<|tool_call|>', '<tool_call>'], ['', '</tool_call>', '<|/tool_call|>']);

/** Hunyuan A13B. */
export const hunyuan = jsonList(['<tool_calls>'], ['</tool_calls>']);

/** Phi-4-mini. */
export const phi4Mini = jsonList(['<|tool_call|>', 'functools'], ['<|/tool_call|>']);
