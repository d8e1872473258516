/** A rule's automaton with one state for each set of states that it may be in: shared beginnings are taken once. */
import type { Rule } from './expression.ts';
import { ConstraintTooLarge, maxStates } from './limits.ts';
import { type RuleStates, ruleEnd, ruleStart } from './rule-states.ts';

export interface DeterministicState {
  readonly final: boolean;
  /** The state that each byte leads to; -1: none. */
  readonly bytes: Int32Array;
  readonly rules: ReadonlyMap<Rule, number>;
  readonly tokens: ReadonlyMap<number, number>;
}

/** State 0 is the start. Throws ConstraintTooLarge. */
export function deterministic(rule: RuleStates): readonly DeterministicState[] {
  const sets: (readonly number[])[] = [];
  const numbers = new Map<string, number>();
  const numberOf = (targets: readonly number[]): number => {
    const set = closure(targets, rule);
    const key = set.join();
    const known = numbers.get(key);
    if (known !== undefined) return known;
    if (sets.length >= maxStates) throw new ConstraintTooLarge(`it needs more than ${maxStates} states`);
    numbers.set(key, sets.length);
    return sets.push(set) - 1;
  };
  numberOf([ruleStart]);
  const states: DeterministicState[] = [];
  for (let at = 0; at < sets.length; at++) states.push(stateOf(sets[at]!, rule, numberOf));
  return states;
}

function stateOf(
  set: readonly number[],
  rule: RuleStates,
  numberOf: (targets: readonly number[]) => number,
): DeterministicState {
  const byByte: (number[] | undefined)[] = [];
  const byRule = new Map<Rule, number[]>();
  const byToken = new Map<number, number[]>();
  for (const state of set) {
    for (const edge of rule.edges[state]!) {
      if (edge.kind === 'rule') append(byRule, edge.rule, edge.to);
      else if (edge.kind === 'token') append(byToken, edge.id, edge.to);
      else for (let byte = edge.first; byte <= edge.last; byte++) (byByte[byte] ??= []).push(edge.to);
    }
  }
  const bytes = new Int32Array(256).fill(-1);
  const known = new Map<string, number>();
  byByte.forEach((targets, byte) => {
    if (targets === undefined) return;
    const key = targets.join();
    const number = known.get(key) ?? numberOf(targets);
    known.set(key, number);
    bytes[byte] = number;
  });
  return {
    final: set.includes(ruleEnd),
    bytes,
    rules: new Map([...byRule].map(([called, targets]) => [called, numberOf(targets)])),
    tokens: new Map([...byToken].map(([id, targets]) => [id, numberOf(targets)])),
  };
}

function closure(targets: readonly number[], { free }: RuleStates): readonly number[] {
  const seen = new Set<number>();
  const open = [...targets];
  while (open.length > 0) {
    const state = open.pop()!;
    if (seen.has(state)) continue;
    seen.add(state);
    open.push(...free[state]!);
  }
  return [...seen].sort((a, b) => a - b);
}

function append<Key>(map: Map<Key, number[]>, key: Key, value: number): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
