import { describe, expect, it } from 'vitest';
import { compileConstraint } from '../../../../../controller/text/constraint/request/compile-constraint.ts';
import { compiled, ofSchema } from './compiled.ts';
import { recognizes } from './recognizer.ts';

function texts(schema: unknown, values: readonly string[]): readonly boolean[] {
  const grammar = ofSchema(schema);
  return values.map((value) => recognizes(grammar, value));
}

describe('JSON texts that satisfy a schema', () => {
  it('has properties in the order of the schema, and others only where they are asked for', () => {
    const schema = { type: 'object', properties: { b: { type: 'integer' }, a: { type: 'null' } }, required: ['b'] };
    const values = ['{"b":1}', '{"b":1,"a":null}', '{"a":null,"b":1}', '{"b":1,"c":2}', '{}'];
    expect(texts(schema, values)).toEqual([true, true, false, false, false]);
    const open = { ...schema, additionalProperties: { type: 'boolean' } };
    expect(texts(open, ['{"b":1,"c":true}', '{"b":1,"c":2}', '{"b":1,"a":true}', '{"b":1,"b":true}'])).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  it('bounds white space', () => {
    const values = [
      '{ "a": 1 }',
      '{\n  "a": 1\n}',
      `{${' '.repeat(3)}"a":1}`,
      '{"a" :1}',
      `{\n${' '.repeat(70)}"a":1}`,
    ];
    expect(texts({ type: 'object', properties: { a: true } }, values)).toEqual([true, true, false, false, false]);
  });

  it('writes characters in every way that JSON has, and counts them as JSON Schema does', () => {
    const schema = { type: 'string', minLength: 2, maxLength: 2 };
    const values = [
      '"ab"',
      '"é😀"',
      String.raw`"\u00e9\ud83d\ude00"`,
      String.raw`"\n\""`,
      String.raw`"\ud83d"`,
      '"a"',
      '"a\n"',
    ];
    expect(texts(schema, values)).toEqual([true, true, true, true, false, false, false]);
  });

  it('joins patterns, formats and lengths', () => {
    const schema = { type: 'string', pattern: '^[a-z]+', maxLength: 4, allOf: [{ pattern: '[0-9]$' }] };
    expect(texts(schema, ['"abc1"', '"1abc"', '"abcd1"', '"abc"'])).toEqual([true, false, false, false]);
    expect(texts({ type: 'string', format: 'date' }, ['"2024-02-29"', '"2023-02-29"', '"2023-13-01"'])).toEqual([
      true,
      false,
      false,
    ]);
  });

  it.each([
    [{ type: 'integer', minimum: -3, maximum: 120 }, ['-3', '0', '120', '7'], ['-4', '121', '1.0', '07', '-0.5']],
    [
      { type: 'number', exclusiveMinimum: 1.5, maximum: 20.25 },
      ['1.51', '2', '20.25', '20.249'],
      ['1.5', '20.26', '21', '-2', '1.50'],
    ],
    [{ type: 'number', minimum: -1.5 }, ['-1.5', '-1.49', '0', '99'], ['-1.51', '-2', '-10']],
    [{ type: 'number', maximum: -10 }, ['-10', '-10.5', '-99'], ['-9.99', '0', '5', '-9']],
    [{ type: 'integer', multipleOf: 7, minimum: 1 }, ['7', '70', '7777'], ['0', '8', '-7', '71']],
    [{ type: 'number', multipleOf: 0.25 }, ['0.25', '1.5', '2', '-0.75', '2.50'], ['0.3', '0.125', '1.26']],
  ])('%j: numbers within bounds', (schema, within, outside) => {
    expect(texts(schema, within)).toEqual(within.map(() => true));
    expect(texts(schema, outside)).toEqual(outside.map(() => false));
  });

  it('keeps the digits of constants', () => {
    const grammar = compiled({ kind: 'json', schema: '{"const":12345678901234567891}', path: 'schema' });
    expect(['12345678901234567891', '12345678901234567000'].map((value) => recognizes(grammar, value))).toEqual([
      true,
      false,
    ]);
  });

  it('follows recursion', () => {
    const schema = {
      $ref: '#/$defs/node',
      $defs: {
        node: {
          type: 'object',
          properties: { next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
          required: ['next'],
        },
      },
    };
    expect(texts(schema, ['{"next":{"next":null}}', '{"next":{"next":1}}'])).toEqual([true, false]);
  });

  it.each([
    [{ properties: { a: { if: {}, else: {} } } }, 'schema.properties.a.if: is not supported'],
    [{ items: { type: 'array', uniqueItems: true } }, 'schema.items.uniqueItems: is not supported'],
    [{ type: 'string', pattern: '(?=a)' }, 'schema.pattern: (?=a) is not supported'],
    [{ $ref: 'https://example.com/other' }, 'schema.$ref: other documents are not supported'],
    [{ type: 'strin' }, 'schema.type: expected object'],
    [{ minLength: -1 }, 'schema.minLength: expected a whole number of 0 or more'],
    [{ type: 'string', format: 'colour' }, 'schema.format: "colour" is not supported'],
    [{ type: 'integer', minimum: 3, maximum: 2 }, 'schema: no text at all satisfies it'],
    [false, 'schema: no text at all satisfies it'],
    [{ type: 'string', maxLength: 1e6 }, 'schema: it needs more than 100000 states'],
    [{ oneOf: [{ type: 'string' }, { minLength: 2 }] }, 'schema.oneOf: is supported where no value can match two'],
  ])('%j is refused by its keyword', (schema, problem) => {
    expect(() => ofSchema(schema)).toThrow(problem);
  });
});

describe('other constraints', () => {
  it('takes regular expressions for whole texts', () => {
    const grammar = compiled({ kind: 'regex', pattern: '(foo|ba+r)\\d{2}', path: 'guided_regex' });
    expect(['foo12', 'baaar00', 'xfoo12', 'foo1'].map((text) => recognizes(grammar, text))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('takes choices', () => {
    const grammar = compiled({ kind: 'choice', choices: ['yes', 'yesterday', 'né'], path: 'guided_choice' });
    expect(['yes', 'yesterday', 'né', 'yest', ''].map((text) => recognizes(grammar, text))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  it('takes EBNF', () => {
    const text = `
      root ::= sum # the whole
      sum ::= term (("+" | "-") term)*
      term ::= [0-9]{1,3} | "(" sum ")"`;
    const grammar = compiled({ kind: 'grammar', text, path: 'guided_grammar' });
    expect(['1+2', '(1-(22+333))', '1+', '4444', '()'].map((value) => recognizes(grammar, value))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it.each([
    ['root ::= root "a" | "b"', 'guided_grammar: rule root calls itself before it takes anything'],
    ['root ::= a', 'guided_grammar: line 1: there is no rule a'],
    ['start ::= "a"', 'guided_grammar: line 1: there is no rule root'],
    ['root ::= "a', 'guided_grammar: line 1: expected "'],
    ['root ::= "a" root', 'guided_grammar: no text at all satisfies it'],
  ])('%s is refused', (text, problem) => {
    expect(() => compiled({ kind: 'grammar', text, path: 'guided_grammar' })).toThrow(problem);
  });

  it('comes after reasoning, which may be anything', () => {
    const answer = compileConstraint({
      spec: { kind: 'choice', choices: ['yes', 'no'], path: 'guided_choice' },
      preamble: { kind: 'reasoning', begin: '<think>', end: '</think>', inside: false },
      tokens: [],
    });
    if (!('grammar' in answer)) throw new Error(answer.problem);
    const values = ['yes', '<think>no < yes </thin </think>\n\nyes', '<think>no', 'maybe', '<think></think>maybe'];
    expect(values.map((value) => recognizes(answer.grammar, value))).toEqual([true, true, false, false, false]);
  });
});
