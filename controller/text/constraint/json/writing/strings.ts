/** JSON strings: how their characters are written. */
import { type CodePoints, codePoints, intersection, plainCharacters } from '../../automaton/code-points.ts';
import type { Dfa } from '../../automaton/dfa.ts';
import {
  call,
  character,
  choice,
  type Expression,
  type Rule,
  repeat,
  sequence,
  text,
} from '../../automaton/expression.ts';

const hex = character(
  codePoints([
    [0x30, 0x39],
    [0x41, 0x46],
    [0x61, 0x66],
  ]),
);

function oneOf(characters: string): Expression {
  return character(codePoints(Array.from(characters, (char) => [char.charCodeAt(0), char.charCodeAt(0)])));
}

/** Every way to write a character with a backslash; a character beyond U+FFFF takes two. */
const escape: Rule = {
  name: 'escape',
  expression: sequence(
    text('\\'),
    choice(
      oneOf('"\\/bfnrt'),
      sequence(
        text('u'),
        choice(sequence(oneOf('0123456789abcefABCEF'), hex), sequence(oneOf('dD'), oneOf('01234567'))),
        hex,
        hex,
      ),
      sequence(
        text('u'),
        oneOf('dD'),
        oneOf('89abAB'),
        hex,
        hex,
        text('\\u'),
        oneOf('dD'),
        oneOf('cdefCDEF'),
        hex,
        hex,
      ),
    ),
  ),
};

/** One character of a string, in any way. */
export const anyCharacter: Expression = choice(character(plainCharacters), call(escape));

export const anyString: Rule = {
  name: 'string',
  expression: sequence(text('"'), repeat(anyCharacter, 0, null), text('"')),
};

export function stringOfLength(least: number, most: number | null): Expression {
  return sequence(text('"'), repeat(anyCharacter, least, most), text('"'));
}

/** A string whose characters an automaton accepts, each written in the one way that JSON.stringify has for it. */
export function stringOf(dfa: Dfa): Expression {
  return sequence(text('"'), { kind: 'automaton', dfa, spell }, text('"'));
}

const escaped: CodePoints = codePoints([
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
]);

function spell(set: CodePoints): readonly Expression[] {
  const plain = intersection(set, plainCharacters);
  const spelled: Expression[] = plain.length === 0 ? [] : [character(plain)];
  for (const [first, last] of intersection(set, escaped)) {
    for (let point = first; point <= last; point++) {
      spelled.push(text(JSON.stringify(String.fromCharCode(point)).slice(1, -1)));
    }
  }
  return spelled;
}
