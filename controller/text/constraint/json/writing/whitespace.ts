/** Where and how much white space a JSON text may have: a model that likes it must not write it for ever. */
import { call, choice, type Expression, type Rule, repeat, sequence, text } from '../../automaton/expression.ts';

const mostIndentation = 64;

const line: Rule = {
  name: 'line',
  expression: choice(
    { kind: 'sequence', parts: [] },
    text(' '),
    sequence(text('\n'), repeat(choice(text(' '), text('\t')), 0, mostIndentation)),
  ),
};

/** Behind an opening bracket and before a closing one. */
export const open: Expression = call(line);
export const close: Expression = call(line);
export const comma: Expression = sequence(text(','), call(line));
export const colon: Expression = sequence(text(':'), choice({ kind: 'sequence', parts: [] }, text(' ')));
