import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileStops, StopTexts } from '../../../../controller/text/stop-texts.ts';

function stream(stops: readonly string[], pieces: readonly string[], include = false) {
  const filter = new StopTexts(compileStops(stops), include);
  let text = '';
  for (const piece of pieces) {
    const result = filter.push(piece);
    text += result.text;
    if (result.stop !== null) return { text, stop: result.stop };
  }
  return { text: text + filter.flush(), stop: null };
}

/** The match that ends first, and the longest of those that end there. */
function naive(stops: readonly string[], text: string, include: boolean) {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0];
    if (found !== undefined) return { text: text.slice(0, include ? end : end - found.length), stop: found };
  }
  return { text, stop: null };
}

describe('stop texts', () => {
  it.each([
    { stops: ['END'], pieces: ['abc E', 'N', 'D more'], text: 'abc ', stop: 'END' },
    { stops: ['END'], pieces: ['abc EN', 'Q'], text: 'abc ENQ', stop: null },
    { stops: ['aab'], pieces: ['a', 'a', 'a', 'b'], text: 'a', stop: 'aab' },
    { stops: ['\n', '\n\n'], pieces: ['x\n\ny'], text: 'x', stop: '\n' },
    { stops: ['bc', 'abc'], pieces: ['ab', 'c'], text: '', stop: 'abc' },
    { stops: ['never'], pieces: ['ends with nev'], text: 'ends with nev', stop: null },
    { stops: [], pieces: ['a', 'b'], text: 'ab', stop: null },
  ])('$stops in $pieces', ({ stops, pieces, text, stop }) => {
    expect(stream(stops, pieces)).toEqual({ text, stop });
  });

  it('are kept in the text when asked for', () => {
    expect(stream(['END'], ['abc E', 'ND more'], true)).toEqual({ text: 'abc END', stop: 'END' });
  });

  it('are found wherever pieces are cut, and nothing of one is let out early', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 });
    const stops = fc.array(
      letters.filter((text) => text !== ''),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(stops, fc.array(letters, { maxLength: 12 }), fc.boolean(), (stopTexts, pieces, include) => {
        expect(stream(stopTexts, pieces, include)).toEqual(naive(stopTexts, pieces.join(''), include));
      }),
      { numRuns: 2_000 },
    );
  });

  it('take time in proportion to the text', () => {
    const stop = `${'a'.repeat(4_000)}b`;
    const filter = new StopTexts(compileStops([stop]), false);
    let out = '';
    for (let i = 0; i < 50_000; i++) out += filter.push('a').text;
    expect(out.length).toBe(46_000);
    expect(filter.push('b')).toEqual({ text: '', stop });
  });
});
