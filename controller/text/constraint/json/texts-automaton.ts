import { codePoints } from '../automaton/code-points.ts';
import type { Dfa } from '../automaton/dfa.ts';

/** Accepts these texts and no other. */
export function textsAutomaton(texts: readonly string[]): Dfa {
  const states: { final: boolean; edges: { set: readonly (readonly [number, number])[]; to: number }[] }[] = [
    { final: false, edges: [] },
  ];
  const next = new Map<string, number>();
  for (const text of texts) {
    let at = 0;
    for (const char of text) {
      const key = `${at},${char}`;
      const known = next.get(key);
      if (known !== undefined) {
        at = known;
        continue;
      }
      const point = char.codePointAt(0)!;
      const to = states.push({ final: false, edges: [] }) - 1;
      states[at]!.edges.push({ set: codePoints([[point, point]]), to });
      next.set(key, to);
      at = to;
    }
    states[at]!.final = true;
  }
  return states;
}
