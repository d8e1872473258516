/** Answers are read the same whole, in pieces, and character by character; in streams in every split in two. */
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { type AnswerPart, joinParts } from '../../../../../controller/text/answer/answer-part.ts';
import {
  answerFormats,
  type ReasoningParserName,
  type ToolParserName,
} from '../../../../../controller/text/answer/parser/answer-formats.ts';
import { answerParser } from '../../../../../controller/text/answer/parser/answer-parser.ts';

/** `weather` takes a text, a whole number, a boolean, an object and a list; `now` nothing. */
export const tools = [
  {
    type: 'function',
    function: {
      name: 'weather',
      parameters: {
        type: 'object',
        properties: {
          city: { type: 'string' },
          days: { type: 'integer' },
          id: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
          ratio: { type: 'number' },
          metric: { type: 'boolean' },
          place: { $ref: '#/$defs/place' },
          tags: { type: 'array', items: { type: 'string' } },
          anything: {},
        },
        $defs: { place: { type: 'object', properties: { lat: { type: 'number' } } } },
      },
    },
  },
  { type: 'function', function: { name: 'now' } },
];

export interface Setting {
  readonly toolParser?: ToolParserName;
  readonly reasoningParser?: ReasoningParserName;
  readonly prompt?: string;
  readonly continued?: string | null;
  readonly parallel?: boolean;
  readonly forced?: boolean;
  /** Default: the two above. */
  readonly tools?: readonly unknown[] | null;
}

/** What an answer says, in short: texts, and calls with their arguments. */
export type Said =
  | string
  | { readonly reasoning: string }
  | { readonly call: string; readonly args: string; readonly id?: string };

export function read(pieces: readonly string[], setting: Setting, streamed: boolean): readonly AnswerPart[] {
  const formats = answerFormats([], setting.toolParser ?? 'none', setting.reasoningParser ?? 'none');
  let ids = 0;
  const parser = answerParser(formats, {
    tools: setting.tools === undefined ? tools : setting.tools,
    streamed,
    parallel: setting.parallel ?? true,
    forced: setting.forced ?? false,
    prompt: setting.prompt ?? '',
    continued: setting.continued ?? null,
    newId: () => `id${ids++}`,
  });
  return joinParts([...pieces.flatMap((piece) => parser.push(piece, 1)), ...parser.end()]);
}

function said(parts: readonly AnswerPart[]): readonly Said[] {
  const says: Said[] = [];
  for (const part of parts) {
    if (part.kind === 'content') says.push(part.text);
    else if (part.kind === 'reasoning') says.push({ reasoning: part.text });
    else if (part.kind === 'tool-call') says.push({ call: part.name, args: '', id: part.id });
    else {
      const last = says.at(-1) as { call: string; args: string; id: string };
      expect(part.index).toBe(says.filter((say) => typeof say === 'object' && 'call' in say).length - 1);
      says[says.length - 1] = { ...last, args: last.args + part.text };
    }
  }
  return says;
}

function withoutIds(says: readonly Said[]): readonly Said[] {
  return says.map((say) => (typeof say === 'object' && 'call' in say ? { call: say.call, args: say.args } : say));
}

/** Splits of a text that its reading must not depend on. */
function splits(text: string, everywhere: boolean): readonly (readonly string[])[] {
  const inTwo = !everywhere
    ? []
    : Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)]);
  const inSevens = Array.from({ length: Math.ceil(text.length / 7) }, (_, i) => text.slice(7 * i, 7 * i + 7));
  return [[text], ...inTwo, text.split(''), inSevens];
}

/** `streamed`: what a stream says where a call breaks off, which it cannot take back. */
export function expectAnswer(text: string, expected: readonly Said[], setting: Setting, streamed = expected): void {
  const ids = expected.some((say) => typeof say === 'object' && 'id' in say);
  const shown = ids ? (says: readonly Said[]) => says : withoutIds;
  for (const [inStream, wanted] of [
    [false, expected],
    [true, streamed],
  ] as const) {
    for (const pieces of splits(text, inStream)) {
      const got = shown(said(read(pieces, setting, inStream)));
      // What is equal needs no words: there are many splits.
      if (!isDeepStrictEqual(got, wanted)) {
        expect(got, `${inStream ? 'stream' : 'document'} of ${JSON.stringify(pieces)}`).toEqual(wanted);
      }
    }
  }
  for (const say of expected)
    if (typeof say === 'object' && 'call' in say) expect(() => JSON.parse(say.args)).not.toThrow();
}
