/**
 * JSON numbers within bounds. A number is written with digits and a fraction; an exponent comes only where nothing is asked of it.
 */
import { type CodePoints, codePoints } from '../../automaton/code-points.ts';
import { type Dfa, explore, intersect, type Way } from '../../automaton/dfa.ts';
import type { Expression } from '../../automaton/expression.ts';
import { compilePattern } from '../../pattern/compile-pattern.ts';

export interface NumberLimits {
  readonly integer: boolean;
  /** Null: none. */
  readonly least: Bound | null;
  readonly most: Bound | null;
  readonly multiples: readonly number[];
}

export interface Bound {
  readonly value: number;
  readonly included: boolean;
}

const any = '-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]{1,3})?';
const decimal = '-?(0|[1-9][0-9]*)(\\.[0-9]+)?';
const whole = '-?(0|[1-9][0-9]*)';

/** Throws ConstraintTooLarge. */
export function numbers({ integer, least, most, multiples }: NumberLimits): Expression {
  const limited = least !== null || most !== null || multiples.length > 0;
  const form = compilePattern(integer ? whole : limited ? decimal : any, { search: false });
  const parts: Dfa[] = [form];
  if (least !== null) parts.push(atLeast(least));
  if (most !== null) parts.push(negated(atLeast({ value: -most.value, included: most.included })));
  for (const multiple of multiples) parts.push(multipleOf(multiple));
  return { kind: 'automaton', dfa: intersect(parts), spell: null };
}

const minus = codePoints([[0x2d, 0x2d]]);
const point = codePoints([[0x2e, 0x2e]]);
const digit = (value: number): CodePoints => codePoints([[0x30 + value, 0x30 + value]]);
const digits = Array.from({ length: 10 }, (_, value) => ({ value, set: digit(value) }));

/** The decimal digits of a positive number, without an exponent. */
function decimalOf(value: number): { readonly whole: string; readonly fraction: string } {
  const [mantissa = '', exponent = '0'] = Math.abs(value).toString().split('e');
  const [before = '0', after = ''] = mantissa.split('.');
  const shift = Number(exponent);
  const all = before + after;
  const place = before.length + shift;
  const padded = place <= 0 ? '0'.repeat(1 - place) + all : all.padEnd(place, '0');
  const split = Math.max(place, 1);
  return { whole: padded.slice(0, split), fraction: padded.slice(split).replace(/0+$/, '') };
}

/** How the digits so far compare with the bound's as far as those go. */
type Comparison = -1 | 0 | 1;

interface BoundState {
  readonly negative: boolean;
  /** Digits of the whole part so far, up to one more than the bound has; -1: the fraction has begun. */
  readonly wholes: number;
  readonly fractions: number;
  readonly comparison: Comparison;
  /** Whether a digit other than 0 has come. */
  readonly some: boolean;
}

/** Numbers that are not below a bound, among all texts of digits with one sign and one point. */
function atLeast({ value, included }: Bound): Dfa {
  const { whole: wholes, fraction } = decimalOf(value);
  const compare = (a: number, b: number): Comparison => (a < b ? -1 : a > b ? 1 : 0);
  const size = (state: BoundState): Comparison => {
    // A whole part of fewer digits is smaller; leading zeros do not come.
    if (state.wholes >= 0 && state.wholes < wholes.length) return -1;
    if (state.comparison !== 0) return state.comparison;
    return fraction.length > Math.max(0, state.fractions) ? -1 : 0;
  };
  const final = (state: BoundState): boolean => {
    const magnitude = size(state);
    const zero = !state.some;
    if (value >= 0 && (!state.negative || zero)) {
      if (value === 0) return zero ? included : true;
      return magnitude > 0 || (magnitude === 0 && included);
    }
    if (value >= 0) return false;
    if (!state.negative || zero) return true;
    return magnitude < 0 || (magnitude === 0 && included);
  };
  const after = (state: BoundState, next: number): BoundState => {
    const some = state.some || next !== 0;
    if (state.wholes < 0) {
      const other = state.fractions < fraction.length ? Number(fraction[state.fractions]) : 0;
      const comparison = state.comparison !== 0 ? state.comparison : compare(next, other);
      return { ...state, some, comparison, fractions: Math.min(state.fractions + 1, fraction.length) };
    }
    if (state.wholes >= wholes.length) return { ...state, some, wholes: wholes.length + 1, comparison: 1 };
    const comparison = state.comparison !== 0 ? state.comparison : compare(next, Number(wholes[state.wholes]));
    return { ...state, some, wholes: state.wholes + 1, comparison };
  };
  return explore<BoundState>({
    start: { negative: false, wholes: 0, fractions: 0, comparison: 0, some: false },
    key: (state) => JSON.stringify(state),
    final,
    ways: (state) => [
      ...digits.map(({ value: next, set }) => ({ set, to: after(state, next) })),
      ...(state.wholes === 0 && !state.negative ? [{ set: minus, to: { ...state, negative: true } }] : []),
      ...(state.wholes > 0
        ? [
            {
              set: point,
              to: { ...state, comparison: state.wholes < wholes.length ? (-1 as const) : state.comparison, wholes: -1 },
            },
          ]
        : []),
    ],
    join: ([only]) => only!,
  });
}

/** The same for the numbers with the other sign. */
function negated(dfa: Dfa): Dfa {
  const [start, ...rest] = dfa;
  const isMinus = ({ set }: { readonly set: CodePoints }): boolean => set.some(([first]) => first === 0x2d);
  const behind = start!.edges.find(isMinus)?.to;
  const positive = start!.edges.filter((edge) => !isMinus(edge));
  // What stood behind the sign comes first now, and the other way round.
  const negative = { final: false, edges: positive };
  const first = {
    final: false,
    edges: [...(behind === undefined ? [] : dfa[behind]!.edges), { set: minus, to: dfa.length }],
  };
  return [first, ...rest, negative];
}

interface MultipleState {
  readonly rest: bigint;
  /** Digits behind the point so far; -1: before it. */
  readonly fractions: number;
  readonly signed: boolean;
  readonly begun: boolean;
}

/** Whole multiples of a number, as far as it can be told from at most as many digits behind the point as it has itself. */
function multipleOf(multiple: number): Dfa {
  const { whole: wholes, fraction } = decimalOf(multiple);
  const scale = fraction.length;
  const unit = BigInt(wholes + fraction);
  const after = (state: MultipleState, value: number): MultipleState => {
    const { rest, fractions } = state;
    // Only zeros come behind the last digit that counts.
    if (fractions >= scale) return { ...state, begun: true };
    const counted = fractions < 0 ? fractions : fractions + 1;
    return { ...state, begun: true, rest: (rest * 10n + BigInt(value)) % unit, fractions: counted };
  };
  return explore<MultipleState>({
    start: { rest: 0n, fractions: -1, signed: false, begun: false },
    key: ({ rest, fractions, signed, begun }) => `${rest},${fractions},${signed},${begun}`,
    final: ({ rest, fractions, begun }) =>
      begun && (rest * 10n ** BigInt(scale - Math.max(0, fractions))) % unit === 0n,
    ways: (state) => {
      const { fractions, begun, signed } = state;
      const next = digits.filter(({ value }) => fractions < scale || value === 0);
      return [
        ...next.map(({ value, set }): Way<MultipleState> => ({ set, to: after(state, value) })),
        ...(signed || begun ? [] : [{ set: minus, to: { ...state, signed: true } }]),
        ...(begun && fractions < 0 ? [{ set: point, to: { ...state, fractions: 0 } }] : []),
      ];
    },
    join: ([only]) => only!,
  });
}
