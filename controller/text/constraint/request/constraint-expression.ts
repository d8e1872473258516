/** A request's constraint as an expression over its whole answer. */
import { codePoints, everyCharacter } from '../automaton/code-points.ts';
import {
  character,
  choice,
  type Expression,
  empty,
  optional,
  repeat,
  sequence,
  text,
} from '../automaton/expression.ts';
import { compileEbnf } from '../ebnf/compile-ebnf.ts';
import { compileSchema } from '../json/compile-schema.ts';
import { readSchema } from '../json/read-schema.ts';
import { UnsupportedSchema } from '../json/unsupported-schema.ts';
import { compilePattern } from '../pattern/compile-pattern.ts';
import type { CallsSpec, ConstraintSpec, ConstraintTask, Preamble } from './constraint-spec.ts';
import { marked, type TokenTexts, until } from './marked-text.ts';

export function constraintExpression({ spec, preamble, tokens: list }: ConstraintTask): Expression {
  const tokens = new Map(list);
  const answer = answerExpression(spec, tokens);
  if (preamble === null) return answer;
  return preamble.kind === 'harmony' ? afterChannels(spec, answer, tokens) : afterReasoning(preamble, answer, tokens);
}

function answerExpression(spec: ConstraintSpec, tokens: TokenTexts): Expression {
  switch (spec.kind) {
    case 'json':
      return compileSchema(readSchema(spec.schema));
    case 'regex':
      return { kind: 'automaton', dfa: compilePattern(spec.pattern, { search: false }), spell: null };
    case 'choice':
      return choice(...spec.choices.map(text));
    case 'grammar':
      return compileEbnf(spec.text);
    case 'calls':
      return callsExpression(spec.calls, spec.path, tokens);
  }
}

function callsExpression(calls: CallsSpec, path: string, tokens: TokenTexts): Expression {
  const one = choice(
    ...calls.tools.map((tool) => {
      const begin = marked(tool.begin, tokens);
      return sequence(begin, argumentsExpression(tool, path), marked(tool.end, tokens));
    }),
  );
  const more = calls.parallel ? repeat(sequence(marked(calls.between, tokens), one), 0, null) : empty;
  return sequence(marked(calls.prefix, tokens), one, more, marked(calls.suffix, tokens));
}

/** Arguments are an object even where `parameters` say nothing. Errors name the tool's own schema. */
function argumentsExpression({ schema, path }: CallsSpec['tools'][number], asked: string): Expression {
  try {
    return compileSchema(readSchema(schema), { objects: true });
  } catch (error) {
    if (error instanceof UnsupportedSchema)
      throw new UnsupportedSchema(`\n${path}${error.path}`, `${error.message} where ${asked} asks for calls`);
    throw error;
  }
}

const lineEnds = repeat(
  character(
    codePoints([
      [0xa, 0xa],
      [0xd, 0xd],
    ]),
  ),
  0,
  4,
);

function afterReasoning(
  { begin, end, inside }: Extract<Preamble, { kind: 'reasoning' }>,
  answer: Expression,
  tokens: TokenTexts,
): Expression {
  const reasoning = sequence(until(end, tokens), lineEnds);
  if (inside) return sequence(reasoning, answer);
  return sequence(optional(sequence(lineEnds, marked(begin, tokens), reasoning)), answer);
}

/** Most messages of other channels before the answer. */
const mostMessages = 8;

function afterChannels(spec: ConstraintSpec, answer: Expression, tokens: TokenTexts): Expression {
  const others = sequence(
    marked('<|channel|>', tokens),
    choice(text('analysis'), text('commentary')),
    marked('<|message|>', tokens),
    repeat(character(everyCharacter), 0, null),
    marked('<|end|><|start|>assistant', tokens),
  );
  if (spec.kind === 'calls') return sequence(repeat(others, 0, mostMessages), answer);
  const json = optional(marked(' <|constrain|>json', tokens));
  const final = sequence(marked('<|channel|>final', tokens), json, marked('<|message|>', tokens), answer);
  return sequence(repeat(others, 0, mostMessages), final);
}
