/** An expression and the rules that it calls, as the tables that travel to the engine. */
import type { Grammar } from '../../../../proto/messages.ts';
import { type DeterministicState, deterministic } from './deterministic.ts';
import type { Expression, Rule } from './expression.ts';
import { ConstraintTooLarge, maxEdges, maxStates } from './limits.ts';
import { plainRuns } from './plain-runs.ts';
import { productiveStates } from './productive.ts';
import { ruleStates } from './rule-states.ts';

/** A rule that calls itself before anything is taken: the engine would call for ever. */
export class LeftRecursion extends Error {}

/** Null where no text is allowed. Throws ConstraintTooLarge, LeftRecursion. */
export function compileGrammar(expression: Expression): Grammar | null {
  const rules: Rule[] = [{ name: 'root', expression }];
  const numbers = new Map<Rule, number>([[rules[0]!, 0]]);
  const automata: (readonly DeterministicState[])[] = [];
  let count = 0;
  for (let at = 0; at < rules.length; at++) {
    const rule = rules[at]!;
    if (rule.expression === null) throw new Error(`rule ${rule.name} has no expression`);
    const states = deterministic(ruleStates(rule.expression));
    count += states.length;
    if (count > maxStates) throw new ConstraintTooLarge(`it needs more than ${maxStates} states`);
    automata.push(states);
    for (const { rules: called } of states) {
      for (const next of called.keys()) if (!numbers.has(next)) numbers.set(next, rules.push(next) - 1);
    }
  }
  const live = productiveStates(automata, numbers);
  if (!live[0]![0]) return null;
  refuseLeftRecursion(rules, automata, numbers);
  return tables(automata, live, numbers);
}

function tables(
  automata: readonly (readonly DeterministicState[])[],
  live: readonly (readonly boolean[])[],
  numbers: ReadonlyMap<Rule, number>,
): Grammar {
  const starts: number[] = [];
  const offsets: number[] = [0];
  const edges: number[] = [];
  const final: number[] = [];
  const runs: number[] = [];
  automata.forEach((all, rule) => {
    const base = final.length;
    const leadsOn = (state: number): boolean => live[rule]![state] === true;
    const states = all.map((state) => ({
      ...state,
      bytes: state.bytes.map((to) => (to >= 0 && leadsOn(to) ? to : -1)),
    }));
    starts.push(base);
    for (const run of plainRuns(states)) runs.push(run);
    const to = (kind: number, value: number, next: number): void => {
      if (leadsOn(next)) edges.push(kind, value, base + next);
    };
    for (const { final: isFinal, bytes, rules, tokens } of states) {
      for (let first = 0; first < 256; ) {
        let last = first;
        while (last < 255 && bytes[last + 1] === bytes[first]) last++;
        if (bytes[first]! >= 0) to(0, first + 256 * last, bytes[first]!);
        first = last + 1;
      }
      for (const [called, next] of rules) {
        const number = numbers.get(called)!;
        if (live[number]![0]) to(1, number, next);
      }
      for (const [id, next] of tokens) to(2, id, next);
      final.push(isFinal ? 1 : 0);
      offsets.push(edges.length / 3);
      if (edges.length / 3 > maxEdges) throw new ConstraintTooLarge(`it needs more than ${maxEdges} edges`);
    }
  });
  return {
    rules: int32s(starts),
    edgeOffsets: int32s(offsets),
    edges: int32s(edges),
    final: Buffer.from(final),
    plainRuns: int32s(runs),
  };
}

function int32s(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => bytes.writeInt32LE(value, i * 4));
  return bytes;
}

function refuseLeftRecursion(
  rules: readonly Rule[],
  automata: readonly (readonly DeterministicState[])[],
  numbers: ReadonlyMap<Rule, number>,
): void {
  const nullable = nullableRules(automata, numbers);
  const first = automata.map((states) => {
    const called = new Set<number>();
    const seen = new Set<number>();
    const open = [0];
    while (open.length > 0) {
      const state = open.pop()!;
      if (seen.has(state)) continue;
      seen.add(state);
      for (const [rule, next] of states[state]!.rules) {
        called.add(numbers.get(rule)!);
        if (nullable.has(numbers.get(rule)!)) open.push(next);
      }
    }
    return called;
  });
  const done = new Set<number>();
  const path = new Set<number>();
  const visit = (rule: number): void => {
    if (path.has(rule)) throw new LeftRecursion(rules[rule]!.name);
    if (done.has(rule)) return;
    path.add(rule);
    for (const next of first[rule]!) visit(next);
    path.delete(rule);
    done.add(rule);
  };
  for (let rule = 0; rule < rules.length; rule++) visit(rule);
}

/** Rules that may take nothing. */
function nullableRules(
  automata: readonly (readonly DeterministicState[])[],
  numbers: ReadonlyMap<Rule, number>,
): ReadonlySet<number> {
  const nullable = new Set<number>();
  for (let before = -1; before < nullable.size; ) {
    before = nullable.size;
    automata.forEach((states, rule) => {
      const seen = new Set<number>();
      const open = [0];
      while (open.length > 0 && !nullable.has(rule)) {
        const state = open.pop()!;
        if (seen.has(state)) continue;
        seen.add(state);
        if (states[state]!.final) nullable.add(rule);
        for (const [called, next] of states[state]!.rules) if (nullable.has(numbers.get(called)!)) open.push(next);
      }
    });
    if (before === nullable.size) break;
  }
  return nullable;
}
