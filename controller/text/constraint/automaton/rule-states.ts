/** A rule's expression as an automaton with edges that take nothing, by Thompson's construction. */
import type { CodePoints } from './code-points.ts';
import type { Expression, GraphNode, Rule } from './expression.ts';
import { ConstraintTooLarge, maxStates } from './limits.ts';
import { byteSequences } from './utf8.ts';

export type Edge =
  | { readonly kind: 'bytes'; readonly first: number; readonly last: number; readonly to: number }
  | { readonly kind: 'rule'; readonly rule: Rule; readonly to: number }
  | { readonly kind: 'token'; readonly id: number; readonly to: number };

export interface RuleStates {
  readonly edges: readonly Edge[][];
  /** States that are reached without taking anything. */
  readonly free: readonly number[][];
}

export const ruleStart = 0;
export const ruleEnd = 1;
const utf8 = new TextEncoder();

/** Throws ConstraintTooLarge. */
export function ruleStates(expression: Expression): RuleStates {
  const states = new StatesBuilder();
  states.add(expression, ruleStart, ruleEnd);
  return states;
}

class StatesBuilder implements RuleStates {
  readonly edges: Edge[][] = [[], []];
  readonly free: number[][] = [[], []];

  add(expression: Expression, from: number, to: number): void {
    switch (expression.kind) {
      case 'text':
        this.#text(utf8.encode(expression.text), from, to);
        break;
      case 'character':
        this.#characters(expression.set, from, to);
        break;
      case 'sequence':
        this.#sequence(expression.parts, from, to);
        break;
      case 'choice':
        for (const part of expression.parts) this.add(part, from, to);
        break;
      case 'repeat':
        this.#repeat(expression, from, to);
        break;
      case 'call':
        this.edges[from]!.push({ kind: 'rule', rule: expression.rule, to });
        break;
      case 'token':
        this.edges[from]!.push({ kind: 'token', id: expression.id, to });
        break;
      case 'graph':
        this.#graph(expression.nodes, from, to);
        break;
      case 'automaton':
        this.#automaton(expression, from, to);
        break;
    }
  }

  #state(): number {
    if (this.edges.length >= maxStates) throw new ConstraintTooLarge(`it needs more than ${maxStates} states`);
    this.free.push([]);
    return this.edges.push([]) - 1;
  }

  #sequence(parts: readonly Expression[], from: number, to: number): void {
    let at = from;
    parts.forEach((part, i) => {
      const next = i === parts.length - 1 ? to : this.#state();
      this.add(part, at, next);
      at = next;
    });
    if (parts.length === 0) this.free[from]!.push(to);
  }

  #repeat({ part, least, most }: Extract<Expression, { kind: 'repeat' }>, from: number, to: number): void {
    let at = this.#state();
    this.free[from]!.push(at);
    for (let i = 0; i < least; i++) {
      const next = this.#state();
      this.add(part, at, next);
      at = next;
    }
    if (most === null) {
      const loop = this.#state();
      this.free[at]!.push(loop);
      const again = this.#state();
      this.add(part, loop, again);
      this.free[again]!.push(loop);
      at = loop;
    }
    for (let i = least; i < (most ?? least); i++) {
      this.free[at]!.push(to);
      const next = this.#state();
      this.add(part, at, next);
      at = next;
    }
    this.free[at]!.push(to);
  }

  #graph(nodes: readonly GraphNode[], from: number, to: number): void {
    const states = nodes.map(() => this.#state());
    this.free[from]!.push(states[0]!);
    nodes.forEach(({ final, edges }, i) => {
      if (final) this.free[states[i]!]!.push(to);
      for (const { take, to: next } of edges) {
        if (take === null) this.free[states[i]!]!.push(states[next]!);
        else this.add(take, states[i]!, states[next]!);
      }
    });
  }

  #automaton({ dfa, spell }: Extract<Expression, { kind: 'automaton' }>, from: number, to: number): void {
    const states = dfa.map(() => this.#state());
    this.free[from]!.push(states[0]!);
    dfa.forEach(({ final, edges }, i) => {
      if (final) this.free[states[i]!]!.push(to);
      for (const edge of edges) {
        const next = states[edge.to]!;
        if (spell === null) this.#characters(edge.set, states[i]!, next);
        else for (const spelled of spell(edge.set)) this.add(spelled, states[i]!, next);
      }
    });
  }

  /** Sequences that end alike share their last states. */
  #characters(set: CodePoints, from: number, to: number): void {
    const shared = new Map<string, number>();
    for (const ranges of byteSequences(set)) {
      let next = to;
      for (let i = ranges.length - 1; i > 0; i--) {
        const key = `${next}:${ranges[i]!.join('-')}`;
        const state = shared.get(key) ?? this.#state();
        if (!shared.has(key)) this.#byte(ranges[i]!, state, next);
        shared.set(key, state);
        next = state;
      }
      this.#byte(ranges[0]!, from, next);
    }
  }

  #text(bytes: Uint8Array, from: number, to: number): void {
    if (bytes.length === 0) this.free[from]!.push(to);
    let at = from;
    bytes.forEach((byte, i) => {
      const next = i === bytes.length - 1 ? to : this.#state();
      this.#byte([byte, byte], at, next);
      at = next;
    });
  }

  #byte([first, last]: readonly [number, number], from: number, to: number): void {
    this.edges[from]!.push({ kind: 'bytes', first, last, to });
  }
}
