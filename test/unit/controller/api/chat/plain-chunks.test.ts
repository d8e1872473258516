// Most chunks of a stream are put together from text; they must be what JSON.stringify makes of the whole object.
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ChunkWriter } from '../../../../../controller/api/answers/answer.ts';
import type { EventStream } from '../../../../../controller/api/answers/event-stream.ts';
import { tokenNames } from '../../../../../controller/api/answers/logprobs.ts';
import { UsageCounter } from '../../../../../controller/api/answers/usage.ts';
import { ChatStream } from '../../../../../controller/api/chat/chat-answer.ts';
import { ChoiceReaders } from '../../../../../controller/api/chat/choice-reader.ts';
import { TextStream } from '../../../../../controller/api/completions/text-answer.ts';
import type { AnswerPart } from '../../../../../controller/text/answer/answer-part.ts';
import type { Piece } from '../../../../../controller/text/sequence-text.ts';
import type { TokenTable } from '../../../../../controller/text/token-table.ts';

const head = { id: 'x-"1"', created: 7, model: 'a/"b"\u2028', system_fingerprint: 'fp' };
const table = {} as TokenTable;
const names = tokenNames(table, true, 'replace');

/** Texts in pieces: some empty, some with half a pair of surrogates, as a client's own stop text may leave them. */
const text = fc.oneof(
  fc.constantFrom(
    '',
    '"',
    '\\',
    '\u2028\u2029',
    '\ud83d',
    '\ude00',
    '\u0000\u001f\u007f',
    '</script>',
    '😀',
    '\n\r\t\b\f',
  ),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
);
const kind = fc.constantFrom('content' as const, 'reasoning' as const);
const parts = fc.array(fc.record({ kind, text }), { maxLength: 3 });
const tokens = fc.array(fc.nat(200_000), { minLength: 1, maxLength: 4 });
const options = fc.record({ returnTokenIds: fc.boolean(), includeUsage: fc.boolean(), continuousUsage: fc.boolean() });

function piece(index: number, tokenIds: readonly number[], content: string, finish: Piece['finish']): Piece {
  return { index, text: content, tokenIds, logprobs: [], textOffsets: [], finish };
}

/** Everything that is written to a stream; `write` gets a writer for it. */
function written(object: string, usage: UsageCounter, chunk: object, write: (writer: ChunkWriter) => void): string[] {
  const events: string[] = [];
  const stream = { write: (data: string) => events.push(data), slow: undefined } as unknown as EventStream;
  write(new ChunkWriter(stream, object, head, usage, { includeUsage: false, continuousUsage: false, ...chunk }));
  return events;
}

/** The chunk that says this, with usage as it was then. */
function chunkOf(object: string, choice: object, usage: object): string {
  return JSON.stringify({ object, ...head, choices: [choice], ...usage });
}

const usageOf = (
  { includeUsage, continuousUsage }: { includeUsage: boolean; continuousUsage: boolean },
  counts: object,
): object => (includeUsage ? { usage: continuousUsage ? counts : null } : {});

it('chunks of text completions are the same bytes as the whole object', () => {
  fc.assert(
    fc.property(
      options,
      fc.array(fc.tuple(fc.nat(2), text, tokens), { minLength: 1, maxLength: 8 }),
      (asked, pieces) => {
        const usage = new UsageCounter();
        const prompts = [{ tokenIds: [5], text: null }];
        const shared = { table, names, echo: false, logprobs: null, skipSpecialTokens: true, promptLogprobs: null };
        const { returnTokenIds } = asked;
        const begun = new Set<number>();
        const expected: string[] = [];
        const events = written('text_completion', usage, asked, (writer) => {
          const stream = new TextStream(writer, usage, { ...shared, returnTokenIds, prompts, n: 3, candidates: 3 });
          for (const [at, [index, content, ids]] of pieces.entries()) {
            const prompt = at === 0 ? { promptLogprobs: [], cachedTokens: 1 } : null;
            void stream.add(0, { piece: piece(index, ids, content, null), prompt });
            const begins = !begun.has(index);
            if (!begins && content === '' && !returnTokenIds) continue;
            begun.add(index);
            const ids_ = { token_ids: ids, ...(begins ? { prompt_token_ids: [5] } : {}) };
            const choice = { index, text: content, logprobs: null, finish_reason: null, stop_reason: null };
            const more = returnTokenIds ? ids_ : {};
            expected.push(chunkOf('text_completion', { ...choice, ...more }, usageOf(asked, usage.toJSON())));
          }
        });
        expect(events).toEqual(expected);
      },
    ),
  );
});

it('chunks of chats are the same bytes as the whole object', () => {
  fc.assert(
    fc.property(
      options,
      fc.array(fc.tuple(fc.nat(2), parts, tokens), { minLength: 1, maxLength: 8 }),
      (asked, said) => {
        const left: AnswerPart[][] = said.map(([, list]) => [...list]);
        const parser = () => ({ push: () => left.shift() ?? [], end: () => [], reasoningTokens: 3 });
        const readers = new ChoiceReaders(3, parser);
        const usage = new UsageCounter(readers);
        const { returnTokenIds } = asked;
        const shared = { promptTokenIds: [5], names, logprobs: false, promptLogprobs: null, n: 3, candidates: 3 };
        const begun = new Set<number>();
        const expected: string[] = [];
        const expect_ = (choice: object, members: object = {}) =>
          expected.push(chunkOf('chat.completion.chunk', choice, { ...members, ...usageOf(asked, usage.toJSON()) }));
        const events = written('chat.completion.chunk', usage, asked, (writer) => {
          const stream = new ChatStream(writer, usage, { ...shared, readers, returnTokenIds });
          for (const [at, [index, list, ids]] of said.entries()) {
            const prompt = at === 0 ? { promptLogprobs: [], cachedTokens: 1 } : null;
            void stream.add(0, { piece: piece(index, ids, 'what the parser reads', null), prompt });
            if (!begun.has(index)) {
              const first = begun.size === 0 && returnTokenIds;
              const delta = { role: 'assistant', content: '' };
              expect_({ index, delta, logprobs: null, finish_reason: null }, first ? { prompt_token_ids: [5] } : {});
            }
            begun.add(index);
            if (list.length === 0 && !returnTokenIds) continue;
            const of = (wanted: string) => list.map((part) => (part.kind === wanted ? part.text : '')).join('');
            const [content, reasoning] = [of('content'), of('reasoning')];
            const delta = {
              ...(reasoning === '' ? {} : { reasoning_content: reasoning, reasoning }),
              ...(content === '' ? {} : { content }),
            };
            const more = returnTokenIds ? { token_ids: ids } : {};
            expect_({ index, delta, logprobs: null, finish_reason: null, ...more });
          }
        });
        expect(events).toEqual(expected);
      },
    ),
  );
});

it('an end says its reason, and log-probabilities are written', () => {
  const usage = new UsageCounter();
  const shared = { table, names, echo: false, skipSpecialTokens: true, promptLogprobs: null, returnTokenIds: false };
  const scored = { tokenId: 4, logprob: -1, topTokenIds: [], topLogprobs: [] };
  const events = written('text_completion', usage, {}, (writer) => {
    const prompts = [{ tokenIds: [5], text: null }];
    const stream = new TextStream(writer, usage, { ...shared, prompts, logprobs: 0, n: 1, candidates: 1 });
    const first = { ...piece(0, [4], 'a', null), logprobs: [scored], textOffsets: [0] };
    void stream.add(0, { piece: first, prompt: { promptLogprobs: [], cachedTokens: 0 } });
    void stream.add(0, { piece: { ...first, text: '', finish: { reason: 'stop', stop: 'b' } }, prompt: null });
  });
  const logprobs = {
    tokens: ['token_id:4'],
    token_logprobs: [-1],
    top_logprobs: [{ 'token_id:4': -1 }],
    text_offset: [0],
  };
  expect(events.map((event) => (JSON.parse(event) as { choices: object[] }).choices[0])).toEqual([
    { index: 0, text: 'a', logprobs, finish_reason: null, stop_reason: null },
    { index: 0, text: '', logprobs, finish_reason: 'stop', stop_reason: 'b' },
  ]);
});
