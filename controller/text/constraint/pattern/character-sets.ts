/** The characters that an element of a regular expression stands for. */
import type { AST } from '@eslint-community/regexpp';
import { type CodePoints, codePoints, complement, everyCharacter, union } from '../automaton/code-points.ts';
import { UnsupportedPattern } from './unsupported-pattern.ts';

const digits = ranges('0-9');
const words = union(digits, ranges('a-z'), ranges('A-Z'), ranges('_-_'));
const lineEnds = codePoints([
  [0xa, 0xa],
  [0xd, 0xd],
  [0x2028, 0x2029],
]);
const spaces = codePoints([
  [0x9, 0xd],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);

type Element = AST.CharacterClass['elements'][number] | AST.CharacterSet;

export function charactersOf(element: Element | AST.CharacterClass): CodePoints {
  switch (element.type) {
    case 'Character':
      return codePoints([[element.value, element.value]]);
    case 'CharacterClassRange':
      return codePoints([[element.min.value, element.max.value]]);
    case 'CharacterSet':
      return setOf(element);
    case 'CharacterClass': {
      const set = union(...element.elements.map(charactersOf));
      return element.negate ? complement(set) : set;
    }
    default:
      throw new UnsupportedPattern(`${element.raw} is not supported`);
  }
}

function setOf(set: AST.CharacterSet): CodePoints {
  switch (set.kind) {
    case 'any':
      return complement(lineEnds);
    case 'digit':
      return set.negate ? complement(digits) : digits;
    case 'word':
      return set.negate ? complement(words) : words;
    case 'space':
      return set.negate ? complement(spaces) : spaces;
    case 'property':
      return propertyOf(set.raw);
  }
}

const properties = new Map<string, CodePoints>();

/** Every character is tried once, which takes tens of milliseconds. */
function propertyOf(raw: string): CodePoints {
  const known = properties.get(raw);
  if (known !== undefined) return known;
  const test = new RegExp(raw, 'u');
  const found: [number, number][] = [];
  for (const [first, last] of everyCharacter) {
    for (let point = first; point <= last; point++) {
      if (!test.test(String.fromCodePoint(point))) continue;
      const before = found.at(-1);
      if (before?.[1] === point - 1) before[1] = point;
      else found.push([point, point]);
    }
  }
  const set = codePoints(found);
  properties.set(raw, set);
  return set;
}

function ranges(text: string): CodePoints {
  return codePoints([[text.charCodeAt(0), text.charCodeAt(2)]]);
}
