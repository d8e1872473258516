/** Texts in which special tokens stand for themselves. */
import { type CodePoints, codePoints, complement, everyCharacter } from '../automaton/code-points.ts';
import { explore } from '../automaton/dfa.ts';
import { character, type Expression, type GraphNode, sequence, text } from '../automaton/expression.ts';

export type TokenTexts = ReadonlyMap<string, number>;

/** A text whose marks are tokens where the vocabulary has them as such. */
export function marked(value: string, tokens: TokenTexts): Expression {
  const parts: Expression[] = [];
  for (let rest = value; rest !== ''; ) {
    const found = [...tokens.keys()]
      .map((token) => ({ token, at: rest.indexOf(token) }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at - b.at || b.token.length - a.token.length)[0];
    if (found === undefined || found.at > 0) parts.push(text(rest.slice(0, found?.at)));
    if (found === undefined) break;
    parts.push({ kind: 'token', id: tokens.get(found.token)! });
    rest = rest.slice(found.at + found.token.length);
  }
  return sequence(...parts);
}

/** Any text up to a mark, and the mark. */
export function until(mark: string, tokens: TokenTexts): Expression {
  const id = tokens.get(mark);
  if (id === undefined) return untilText(mark);
  const nodes: GraphNode[] = [
    {
      final: false,
      edges: [
        { take: character(everyCharacter), to: 0 },
        { take: { kind: 'token', id }, to: 1 },
      ],
    },
    { final: true, edges: [] },
  ];
  return { kind: 'graph', nodes };
}

/** A state is how much of the mark the text so far ends with. */
function untilText(mark: string): Expression {
  const characters = Array.from(mark);
  const set = (char: string): CodePoints => codePoints([[char.codePointAt(0)!, char.codePointAt(0)!]]);
  const distinct = [...new Set(characters)];
  const others = complement(codePoints(distinct.flatMap((char) => [...set(char)])));
  const after = (matched: number, char: string): number => {
    const ending = [...characters.slice(0, matched), char];
    for (let length = Math.min(ending.length, characters.length); length > 0; length--) {
      if (ending.slice(-length).join('') === characters.slice(0, length).join('')) return length;
    }
    return 0;
  };
  const dfa = explore<number>({
    start: 0,
    key: String,
    final: (matched) => matched === characters.length,
    ways: (matched) =>
      matched === characters.length
        ? []
        : [...distinct.map((char) => ({ set: set(char), to: after(matched, char) })), { set: others, to: 0 }],
    join: ([only]) => only!,
  });
  return { kind: 'automaton', dfa, spell: null };
}
