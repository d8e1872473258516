import type { DeterministicState } from './deterministic.ts';
import type { Rule } from './expression.ts';

/** Which states of which rules lead to an end: a text never comes where it could not be finished. */
export function productiveStates(
  automata: readonly (readonly DeterministicState[])[],
  numbers: ReadonlyMap<Rule, number>,
): readonly (readonly boolean[])[] {
  const live = automata.map((states) => states.map(() => false));
  const callers = new Map<number, Set<number>>();
  automata.forEach((states, rule) => {
    for (const { rules } of states) {
      for (const called of rules.keys()) {
        const number = numbers.get(called)!;
        const list = callers.get(number) ?? new Set<number>();
        callers.set(number, list.add(rule));
      }
    }
  });
  const open = new Set(automata.keys());
  for (const rule of open) {
    open.delete(rule);
    const before = live[rule]![0];
    mark(automata[rule]!, live[rule]!, (called) => live[numbers.get(called)!]![0]!);
    if (!before && live[rule]![0]) for (const caller of callers.get(rule) ?? []) open.add(caller);
  }
  return live;
}

function mark(states: readonly DeterministicState[], live: boolean[], ends: (rule: Rule) => boolean): void {
  const sources = states.map((): number[] => []);
  states.forEach(({ bytes, rules, tokens }, from) => {
    let last = -1;
    for (const to of bytes) {
      if (to >= 0 && to !== last) sources[to]!.push(from);
      last = to;
    }
    for (const [rule, to] of rules) if (ends(rule)) sources[to]!.push(from);
    for (const to of tokens.values()) sources[to]!.push(from);
  });
  const open = states.flatMap(({ final }, i) => (final || live[i] ? [i] : []));
  while (open.length > 0) {
    const state = open.pop()!;
    live[state] = true;
    for (const source of sources[state]!) if (!live[source]) open.push(source);
  }
}
