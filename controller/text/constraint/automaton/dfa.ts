/** Deterministic automata over code points: what patterns, formats, lengths and ranges of numbers have in common. */
import { type CodePoints, codePoints } from './code-points.ts';
import { ConstraintTooLarge, maxPatternStates } from './limits.ts';

export interface DfaState {
  readonly final: boolean;
  /** To disjoint sets of characters; others lead nowhere. */
  readonly edges: readonly { readonly set: CodePoints; readonly to: number }[];
}

/** State 0 is the start. */
export type Dfa = readonly DfaState[];

/** One way on from a state of something that is explored. */
export interface Way<State> {
  readonly set: CodePoints;
  readonly to: State;
}

export interface Exploration<State> {
  readonly start: State;
  /** The same text for the same state. */
  readonly key: (state: State) => string;
  readonly final: (state: State) => boolean;
  /** Ways whose sets may overlap: `join` makes one state of those that a character leads to. */
  readonly ways: (state: State) => readonly Way<State>[];
  readonly join: (states: readonly State[]) => State;
}

/** The automaton of all states that can be reached. Throws ConstraintTooLarge. */
export function explore<State>({ start, key, final, ways, join }: Exploration<State>): Dfa {
  const numbers = new Map<string, number>();
  const found: State[] = [];
  const numberOf = (state: State): number => {
    const name = key(state);
    const known = numbers.get(name);
    if (known !== undefined) return known;
    if (found.length >= maxPatternStates) {
      throw new ConstraintTooLarge(`it has more than ${maxPatternStates} states`);
    }
    numbers.set(name, found.length);
    return found.push(state) - 1;
  };
  numberOf(start);
  const states: DfaState[] = [];
  for (let at = 0; at < found.length; at++) {
    const state = found[at]!;
    const sets = new Map<number, [number, number][]>();
    for (const { range, targets } of pieces(ways(state))) {
      const to = numberOf(targets.length === 1 ? targets[0]! : join(targets));
      const ranges = sets.get(to);
      if (ranges === undefined) sets.set(to, [range]);
      else ranges.push(range);
    }
    states.push({ final: final(state), edges: [...sets].map(([to, ranges]) => ({ to, set: codePoints(ranges) })) });
  }
  return withoutDeadEnds(states);
}

/** Cuts overlapping sets into ranges of which each leads to the same states. */
function pieces<State>(ways: readonly Way<State>[]): { range: [number, number]; targets: State[] }[] {
  const cuts = new Set<number>();
  for (const { set } of ways) {
    for (const [first, end] of set) {
      cuts.add(first);
      cuts.add(end + 1);
    }
  }
  const points = [...cuts].sort((a, b) => a - b);
  const result = points
    .slice(1)
    .map((end, i) => ({ range: [points[i]!, end - 1] as [number, number], targets: [] as State[] }));
  const index = new Map(points.map((point, i) => [point, i]));
  for (const { set, to } of ways) {
    for (const [first, end] of set) {
      for (let i = index.get(first)!; i < index.get(end + 1)!; i++) result[i]!.targets.push(to);
    }
  }
  return result.filter(({ targets }) => targets.length > 0);
}

function withoutDeadEnds(states: readonly DfaState[]): Dfa {
  const sources = states.map((): number[] => []);
  states.forEach(({ edges }, from) => {
    for (const { to } of edges) sources[to]!.push(from);
  });
  const live = new Set<number>();
  const open = states.flatMap(({ final }, i) => (final ? [i] : []));
  while (open.length > 0) {
    const state = open.pop()!;
    if (live.has(state)) continue;
    live.add(state);
    open.push(...sources[state]!);
  }
  return states.map(({ final, edges }) => ({ final, edges: edges.filter(({ to }) => live.has(to)) }));
}

/** Texts that all of the automata accept. */
export function intersect(automata: readonly Dfa[]): Dfa {
  return automata.reduce((a, b) =>
    explore<readonly [number, number]>({
      start: [0, 0],
      key: ([x, y]) => `${x},${y}`,
      final: ([x, y]) => a[x]!.final && b[y]!.final,
      ways: ([x, y]) =>
        a[x]!.edges.flatMap((one) =>
          b[y]!.edges.map((two) => ({ set: overlap(one.set, two.set), to: [one.to, two.to] as const })),
        ),
      join: ([first]) => first!,
    }),
  );
}

/** Texts that the automaton does not accept. */
export function negate(dfa: Dfa, alphabet: CodePoints): Dfa {
  const nowhere = dfa.length;
  const states = dfa.map(({ final, edges }): DfaState => {
    const covered = codePoints(edges.flatMap(({ set }) => [...set]));
    const rest = subtract(alphabet, covered);
    return { final: !final, edges: rest.length === 0 ? edges : [...edges, { set: rest, to: nowhere }] };
  });
  return withoutDeadEnds([...states, { final: true, edges: [{ set: alphabet, to: nowhere }] }]);
}

export function accepts(dfa: Dfa, text: string): boolean {
  let state = 0;
  for (const char of text) {
    const point = char.codePointAt(0)!;
    const edge = dfa[state]!.edges.find(({ set }) => set.some(([first, end]) => first <= point && point <= end));
    if (edge === undefined) return false;
    state = edge.to;
  }
  return dfa[state]!.final;
}

function overlap(a: CodePoints, b: CodePoints): CodePoints {
  const both: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const start = Math.max(a[i]![0], b[j]![0]);
    const stop = Math.min(a[i]![1], b[j]![1]);
    if (start <= stop) both.push([start, stop]);
    if (a[i]![1] < b[j]![1]) i++;
    else j++;
  }
  return both;
}

function subtract(a: CodePoints, b: CodePoints): CodePoints {
  const rest: [number, number][] = [];
  for (const [first, end] of a) {
    let next = first;
    for (const [from, to] of b) {
      if (to < next || from > end) continue;
      if (from > next) rest.push([next, from - 1]);
      next = to + 1;
    }
    if (next <= end) rest.push([next, end]);
  }
  return rest;
}
