/**
 * How many plain characters (those that JSON strings hold as they are) may follow in a state, whichever they are: the engine
 * then allows most of a vocabulary at once instead of token by token.
 */
import { plainCharacters } from './code-points.ts';
import type { DeterministicState } from './deterministic.ts';
import { byteSequences } from './utf8.ts';

export const anyNumber = 2 ** 31 - 1;
const sequences = byteSequences(plainCharacters);

export function plainRuns(states: readonly DeterministicState[]): readonly number[] {
  const runs = states.map(() => anyNumber);
  const sources = states.map((): number[] => []);
  const open: number[] = [];
  states.forEach((_, state) => {
    const targets = afterAnyPlain(states, state);
    if (targets === null) {
      runs[state] = 0;
      open.push(state);
    } else {
      for (const target of targets) sources[target]!.push(state);
    }
  });
  // A state's run is one more than the shortest of those that a character leads to.
  for (let at = 0; at < open.length; at++) {
    for (const source of sources[open[at]!]!) {
      if (runs[source] !== anyNumber) continue;
      runs[source] = runs[open[at]!]! + 1;
      open.push(source);
    }
  }
  return runs;
}

/** States that a plain character may lead to; null when some cannot follow. */
function afterAnyPlain(states: readonly DeterministicState[], state: number): ReadonlySet<number> | null {
  const all = new Set<number>();
  for (const ranges of sequences) {
    let from = new Set([state]);
    for (const [first, last] of ranges) {
      const next = new Set<number>();
      for (const at of from) {
        const { bytes } = states[at]!;
        for (let byte = first; byte <= last; byte++) next.add(bytes[byte]!);
      }
      if (next.has(-1)) return null;
      from = next;
    }
    for (const target of from) all.add(target);
  }
  return all;
}
