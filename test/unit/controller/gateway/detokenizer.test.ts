import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Detokenizer, detokenize, unfinishedBytes } from '../../../../controller/text/detokenizer.ts';
import { createTokenizer } from '../../../../controller/text/tokenizer.ts';
import { byteLevelFiles, referenceTokenizer, sentencePieceFiles } from './tokenizer-fixtures.ts';

const vocabularies = [
  { name: 'byte-level', files: byteLevelFiles() },
  { name: 'SentencePiece with byte fallback', files: sentencePieceFiles() },
].map(({ name, files }) => ({ name, tokenizer: createTokenizer(files), reference: referenceTokenizer(files) }));

/** Texts that mix the vocabularies' own words with every kind of character. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('the', ' cat', '  ', 'wö', '日本', '👩‍👩‍👧', '\u0000', 'é'),
    ),
    {
      maxLength: 12,
    },
  )
  .map((parts) => parts.join(''));

function pieces(
  table: (typeof vocabularies)[number]['tokenizer']['table'],
  ids: readonly number[],
  skip: boolean,
): string[] {
  const detokenizer = new Detokenizer(table, { skipSpecialTokens: skip });
  return [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
}

describe.each(vocabularies)('$name', ({ tokenizer, reference }) => {
  const { table } = tokenizer;
  const anyIds = fc.array(fc.nat(table.size - 1), { minLength: 1, maxLength: 60 });

  it('gives the text of all tokens at once, piece by piece', () => {
    fc.assert(
      fc.property(anyIds, fc.boolean(), (ids, skip) => {
        const expected = reference.decode([...ids], { skip_special_tokens: skip, clean_up_tokenization_spaces: false });
        // The library drops a byte-order mark at the start of a run of bytes; a text must keep it.
        fc.pre(!detokenize(table, ids, skip).includes('\ufeff'));
        expect(pieces(table, ids, skip).join('')).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it('gives back any text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(detokenize(table, tokenizer.encode(text, true), true)).toBe(text);
      }),
    );
  });

  it('never returns a piece with half a character', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        fc.pre(!text.includes('\ufffd'));
        expect(
          pieces(table, tokenizer.encode(text, false), true).filter((piece) => /[\p{Surrogate}\ufffd]/u.test(piece)),
        ).toEqual([]);
      }),
    );
  });

  it('goes on where a prompt ends', () => {
    fc.assert(
      fc.property(anyIds, fc.nat(60), (ids, cut) => {
        const split = Math.min(cut, ids.length);
        const prefix = ids.slice(0, split);
        const whole = pieces(table, ids, true);
        const detokenizer = new Detokenizer(table, { skipSpecialTokens: true, prefix });
        const continued = [...ids.slice(split).map((id) => detokenizer.push(id)), detokenizer.flush()];
        expect(continued).toEqual(whole.slice(split));
      }),
    );
  });
});

describe('SentencePiece', () => {
  const { tokenizer } = vocabularies[1]!;
  const the = tokenizer.encode('the', false);

  it('takes off the space before the first word of a text, and keeps it after a prompt', () => {
    expect(detokenize(tokenizer.table, the, true)).toBe('the');
    expect(new Detokenizer(tokenizer.table, { skipSpecialTokens: true, prefix: the }).push(the[0]!)).toBe(' the');
    expect(new Detokenizer(tokenizer.table, { skipSpecialTokens: true, prefix: [1] }).push(the[0]!)).toBe('the');
  });

  it('frames prompts with the beginning-of-sequence token', () => {
    expect(tokenizer.encode('the', true)).toEqual([1, ...the]);
  });
});

describe('unfinishedBytes', () => {
  it.each([
    ['nothing', [], 0],
    ['ASCII', [0x41], 0],
    ['a whole character', [0xf0, 0x9f, 0x98, 0x80], 0],
    ['the first of two', [0x41, 0xc3], 1],
    ['two of three', [0xe6, 0x97], 2],
    ['three of four', [0xf0, 0x9f, 0x98], 3],
    ['an overlong form', [0xe0, 0x80], 0],
    ['a surrogate', [0xed, 0xa0], 0],
    ['a code point above U+10FFFF', [0xf4, 0x90], 0],
    ['a stray continuation byte', [0x80], 0],
    ['a byte that never begins a character', [0xff], 0],
  ])('%s', (_name, bytes, expected) => {
    expect(unfinishedBytes(Uint8Array.from(bytes))).toBe(expected);
  });

  it('holds back what the streaming decoder of the platform holds back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        const held = unfinishedBytes(bytes);
        const streamed = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true });
        const cut = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, bytes.length - held));
        expect(cut).toBe(streamed);
      }),
      { numRuns: 2_000 },
    );
  });
});
