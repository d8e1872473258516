/** Whether a text is one of a grammar's, or may become one: a plain chart parser over its tables, which shares nothing with the engine. */
import type { Grammar } from '../../../../../proto/messages.ts';

interface Item {
  readonly state: number;
  readonly rule: number;
  readonly origin: number;
}

type Items = Map<string, Item>;

interface Tables {
  readonly rules: Int32Array;
  readonly offsets: Int32Array;
  readonly edges: Int32Array;
  readonly final: Uint8Array;
}

/** What is possible behind a text: items by the position at which they were reached. */
export class Chart {
  readonly #tables: Tables;
  readonly #reached: readonly Items[];

  private constructor(tables: Tables, reached: readonly Items[]) {
    this.#tables = tables;
    this.#reached = reached;
    this.#close();
  }

  static of({ rules, edgeOffsets, edges, final }: Grammar): Chart {
    const tables = { rules: int32s(rules), offsets: int32s(edgeOffsets), edges: int32s(edges), final };
    const begin = new Map<string, Item>();
    add(begin, { state: tables.rules[0]!, rule: 0, origin: 0 });
    return new Chart(tables, [begin]);
  }

  after(byte: number): Chart {
    return this.#behind((kind, value) => kind === 0 && byte >= value % 256 && byte <= value >> 8);
  }

  /** After a special token. */
  afterToken(id: number): Chart {
    return this.#behind((kind, value) => kind === 2 && value === id);
  }

  #behind(takes: (kind: number, value: number) => boolean): Chart {
    const next: Items = new Map();
    for (const item of this.#last.values()) {
      this.#eachEdge(item.state, (kind, value, state) => {
        if (takes(kind, value)) add(next, { ...item, state });
      });
    }
    return new Chart(this.#tables, [...this.#reached, next]);
  }

  /** Whether the text is the beginning of one of the grammar's: its tables lead nowhere else. */
  get alive(): boolean {
    return this.#last.size > 0;
  }

  /** Whether the text is one of the grammar's. */
  get whole(): boolean {
    return [...this.#last.values()].some(
      ({ state, rule, origin }) => rule === 0 && origin === 0 && this.#tables.final[state] === 1,
    );
  }

  get #last(): Items {
    return this.#reached.at(-1)!;
  }

  /** Adds what is reached at the last position without taking anything. */
  #close(): void {
    const at = this.#reached.length - 1;
    const items = this.#last;
    const ended = new Set<number>();
    const complete = (rule: number, origin: number): void => {
      for (const caller of [...this.#reached[origin]!.values()]) {
        this.#eachEdge(caller.state, (kind, value, state) => {
          if (kind === 1 && value === rule) add(items, { ...caller, state });
        });
      }
    };
    // A map gives what is added while it is walked too.
    for (const item of items.values()) {
      if (this.#tables.final[item.state] === 1) {
        if (item.origin === at) ended.add(item.rule);
        complete(item.rule, item.origin);
      }
      this.#eachEdge(item.state, (kind, value, state) => {
        if (kind !== 1) return;
        add(items, { state: this.#tables.rules[value]!, rule: value, origin: at });
        if (ended.has(value)) add(items, { ...item, state });
      });
    }
  }

  #eachEdge(state: number, visit: (kind: number, value: number, next: number) => void): void {
    const { offsets, edges } = this.#tables;
    for (let edge = offsets[state]!; edge < offsets[state + 1]!; edge++) {
      visit(edges[edge * 3]!, edges[edge * 3 + 1]!, edges[edge * 3 + 2]!);
    }
  }
}

export function recognizes(grammar: Grammar, text: string | Uint8Array): boolean {
  let chart = Chart.of(grammar);
  for (const byte of typeof text === 'string' ? Buffer.from(text) : text) chart = chart.after(byte);
  return chart.whole;
}

function add(items: Items, item: Item): void {
  const key = `${item.state},${item.rule},${item.origin}`;
  if (!items.has(key)) items.set(key, item);
}

function int32s(bytes: Uint8Array): Int32Array {
  return new Int32Array(Uint8Array.from(bytes).buffer);
}
