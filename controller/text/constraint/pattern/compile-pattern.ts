/**
 * ECMAScript's regular expressions as automata. Look-around, word boundaries and backreferences are refused: what they ask for is
 * no matter of the next character alone.
 */
import { type AST, RegExpParser } from '@eslint-community/regexpp';
import { type CodePoints, everyCharacter } from '../automaton/code-points.ts';
import { type Dfa, explore } from '../automaton/dfa.ts';
import { ConstraintTooLarge, maxPatternStates } from '../automaton/limits.ts';
import { charactersOf } from './character-sets.ts';
import { UnsupportedPattern } from './unsupported-pattern.ts';

interface Node {
  readonly edges: { readonly set: CodePoints; readonly to: number }[];
  /** Reached without a character: always, or only at the start or the end of the text. */
  readonly free: { readonly to: number; readonly at: 'start' | 'end' | null }[];
}

/**
 * Texts that match as a whole, or, with `search`, somewhere. Throws UnsupportedPattern, ConstraintTooLarge.
 */
export function compilePattern(source: string, { search }: { readonly search: boolean }): Dfa {
  const nodes = new PatternNodes();
  const [start, end] = [nodes.add(), nodes.add()];
  if (search) {
    nodes.edge(start, everyCharacter, start);
    nodes.edge(end, everyCharacter, end);
  }
  const first = nodes.add();
  nodes.free(start, first, null);
  nodes.alternatives(parse(source).alternatives, first, end);
  const closure = (states: readonly number[], at: 'start' | 'end' | null): readonly number[] =>
    nodes.closure(states, at);
  return explore<readonly number[]>({
    start: closure([start], 'start'),
    key: (states) => states.join(),
    final: (states) => closure(states, 'end').includes(end),
    ways: (states) =>
      states.flatMap((state) => nodes.edgesOf(state).map(({ set, to }) => ({ set, to: closure([to], null) }))),
    join: (all) => [...new Set(all.flat())].sort((a, b) => a - b),
  });
}

function parse(source: string): AST.Pattern {
  const parser = new RegExpParser({ ecmaVersion: 2024 });
  try {
    return parser.parsePattern(source, 0, source.length, { unicode: true });
  } catch (error) {
    // Patterns in the field escape more than the flag u allows, such as "\-".
    try {
      return parser.parsePattern(source, 0, source.length, { unicode: false });
    } catch {
      throw new UnsupportedPattern((error as Error).message);
    }
  }
}

class PatternNodes {
  readonly #nodes: Node[] = [];

  add(): number {
    if (this.#nodes.length >= maxPatternStates) {
      throw new ConstraintTooLarge(`it has more than ${maxPatternStates} states`);
    }
    return this.#nodes.push({ edges: [], free: [] }) - 1;
  }

  edge(from: number, set: CodePoints, to: number): void {
    this.#nodes[from]!.edges.push({ set, to });
  }

  free(from: number, to: number, at: 'start' | 'end' | null): void {
    this.#nodes[from]!.free.push({ to, at });
  }

  edgesOf(node: number): Node['edges'] {
    return this.#nodes[node]!.edges;
  }

  closure(states: readonly number[], place: 'start' | 'end' | null): readonly number[] {
    const seen = new Set<number>();
    const open = [...states];
    while (open.length > 0) {
      const state = open.pop()!;
      if (seen.has(state)) continue;
      seen.add(state);
      for (const { to, at } of this.#nodes[state]!.free) if (at === null || at === place) open.push(to);
    }
    return [...seen].sort((a, b) => a - b);
  }

  alternatives(list: readonly AST.Alternative[], from: number, to: number): void {
    for (const { elements } of list) {
      let at = from;
      for (const element of elements) {
        const next = this.add();
        this.#element(element, at, next);
        at = next;
      }
      this.free(at, to, null);
    }
  }

  #element(element: AST.Element, from: number, to: number): void {
    switch (element.type) {
      case 'Character':
      case 'CharacterSet':
      case 'CharacterClass':
        this.edge(from, charactersOf(element), to);
        break;
      case 'Group':
      case 'CapturingGroup':
        this.alternatives(element.alternatives, from, to);
        break;
      case 'Quantifier':
        this.#quantifier(element, from, to);
        break;
      case 'Assertion':
        if (element.kind !== 'start' && element.kind !== 'end') {
          throw new UnsupportedPattern(`${element.raw} is not supported`);
        }
        this.free(from, to, element.kind);
        break;
      default:
        throw new UnsupportedPattern(`${element.raw} is not supported`);
    }
  }

  #quantifier({ element, min, max }: AST.Quantifier, from: number, to: number): void {
    let at = from;
    const step = (): void => {
      const next = this.add();
      this.#element(element, at, next);
      at = next;
    };
    for (let i = 0; i < min; i++) step();
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.add();
      this.free(at, loop, null);
      const again = this.add();
      this.#element(element, loop, again);
      this.free(again, loop, null);
      at = loop;
    } else {
      for (let i = min; i < max; i++) {
        this.free(at, to, null);
        step();
      }
    }
    this.free(at, to, null);
  }
}
