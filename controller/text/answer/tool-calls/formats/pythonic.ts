/** Calls as Python writes them: Llama 4 and 3.2 in a list, Olmo 3 on lines between tags. */

import { Broken, type PieceReader, type Reading } from '../../reading/piece-reader.ts';
import { readPython } from '../../reading/python-reader.ts';
import type { CallWriter } from '../call-writer.ts';
import type { CallGrammar, ToolFormat } from '../tool-format.ts';
import type { ToolSchemas } from '../tool-schemas.ts';

function grammar(prefix: string, between: string, suffix: string): CallGrammar {
  return { prefix, between, suffix, beginCall: (called) => `${called}(`, arguments: 'python', endCall: ')' };
}

export const pythonic: ToolFormat = {
  begins: ['<|python_start|>'],
  bare: ['['],
  framing: ['<|python_end|>'],
  grammar: grammar('[', ', ', ']'),
  *read(source, calls, mark, tools) {
    yield* source.blanks();
    yield* source.expect('[');
    do {
      yield* source.blanks();
      yield* readCall(source, calls, mark === '' ? tools : null);
      yield* source.blanks();
    } while ((yield* source.option([','])) !== null);
    yield* source.expect(']');
    yield* source.option(['<|python_end|>']);
  },
};

export const olmo3: ToolFormat = {
  begins: ['<function_calls>'],
  inner: ['</function_calls>'],
  grammar: grammar('<function_calls>\n', '\n', '\n</function_calls>'),
  *read(source, calls) {
    for (;;) {
      yield* source.blanks();
      if ((yield* source.option(['</function_calls>'])) !== null || (yield* source.peek()) === '') return;
      yield* readCall(source, calls, null);
    }
  },
};

/** `known`: tools of which it must be one; null for any. */
function* readCall(source: PieceReader, calls: CallWriter, known: ToolSchemas | null): Reading {
  const called = yield* readName(source, '(');
  if (known?.has(called) === false) throw new Broken();
  for (let first = true; ; first = false) {
    yield* source.blanks();
    if ((yield* source.option([')'])) !== null) {
      if (first) calls.begin(called);
      calls.arguments(first ? '{}' : '}');
      break;
    }
    const key = yield* readName(source, '=');
    if (first) calls.begin(called);
    calls.arguments(`${first ? '{' : ', '}${JSON.stringify(key)}: `);
    yield* source.blanks();
    yield* readPython(source, (text) => calls.arguments(text));
    yield* source.blanks();
    if ((yield* source.option([','])) === null && (yield* source.peek()) !== ')') throw new Broken();
  }
  calls.end();
}

/** A name and what stands behind it. It ends with the first character that no name has: lists of other things are no calls. */
function* readName(source: PieceReader, behind: string): Reading<string> {
  let name = '';
  for (let next = yield* source.peek(); /[\w.-]/.test(next); next = yield* source.peek()) name += source.take(1);
  if (!/^[A-Za-z_]/.test(name)) throw new Broken();
  yield* source.blanks();
  yield* source.expect(behind);
  return name;
}
