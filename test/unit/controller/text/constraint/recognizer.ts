/** Whether a text is one of a grammar's: a plain chart parser over its tables, which shares nothing with the engine. */
import type { Grammar } from '../../../../../proto/messages.ts';

interface Item {
  readonly state: number;
  readonly rule: number;
  readonly origin: number;
}

export function recognizes(grammar: Grammar, text: string | Uint8Array): boolean {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  const rules = int32s(grammar.rules);
  const offsets = int32s(grammar.edgeOffsets);
  const edges = int32s(grammar.edges);
  const chart: Map<string, Item>[] = [];
  const add = (at: number, item: Item): void => {
    chart[at] ??= new Map();
    const key = `${item.state},${item.rule},${item.origin}`;
    if (!chart[at].has(key)) chart[at].set(key, item);
  };
  const eachEdge = (state: number, visit: (kind: number, value: number, next: number) => void): void => {
    for (let edge = offsets[state]!; edge < offsets[state + 1]!; edge++) {
      visit(edges[edge * 3]!, edges[edge * 3 + 1]!, edges[edge * 3 + 2]!);
    }
  };
  add(0, { state: rules[0]!, rule: 0, origin: 0 });
  for (let at = 0; at <= bytes.length; at++) {
    const ended = new Set<string>();
    const complete = (rule: number, origin: number): void => {
      for (const caller of [...(chart[origin] ?? new Map<string, Item>()).values()]) {
        eachEdge(caller.state, (kind, value, next) => {
          if (kind === 1 && value === rule) add(at, { ...caller, state: next });
        });
      }
    };
    // A map gives what is added while it is walked too.
    for (const item of (chart[at] ?? new Map<string, Item>()).values()) {
      if (grammar.final[item.state] === 1) {
        if (item.origin === at) ended.add(`${item.rule}`);
        complete(item.rule, item.origin);
      }
      eachEdge(item.state, (kind, value, next) => {
        if (kind === 0 && at < bytes.length && bytes[at]! >= value % 256 && bytes[at]! <= value >> 8) {
          add(at + 1, { ...item, state: next });
        } else if (kind === 1) {
          add(at, { state: rules[value]!, rule: value, origin: at });
          if (ended.has(`${value}`)) add(at, { ...item, state: next });
        }
      });
    }
  }
  const last = [...(chart[bytes.length] ?? new Map<string, Item>()).values()];
  return last.some(({ state, rule, origin }) => rule === 0 && origin === 0 && grammar.final[state] === 1);
}

function int32s(bytes: Uint8Array): Int32Array {
  return new Int32Array(Uint8Array.from(bytes).buffer);
}
