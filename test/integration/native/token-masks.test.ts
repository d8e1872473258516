// Masks are put together of what is known of tokens and states; each must be what a walk of every token by itself finds.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ConstraintSpec } from '../../../controller/text/constraint/request/constraint-spec.ts';
import { loadNative } from '../../../native/load.ts';
import type { Runtime, Vocabulary } from '../../../native/native.ts';
import { compiled } from '../../unit/controller/text/constraint/compiled.ts';
import { Chart } from '../../unit/controller/text/constraint/recognizer.ts';

const native = loadNative();
const quotes = [
  '",',
  '":',
  '": "',
  '","',
  '"}',
  '"]',
  '""',
  '{"',
  '{"a":"',
  '[{"',
  ' "',
  '": {"',
  '":true',
  '"x"',
  '"},{"',
];
const inside = [
  'ab',
  'a b',
  'é',
  'ü😀',
  'ab"',
  'ab",',
  'é"',
  '."',
  'x":',
  '\u007f',
  '日本語',
  'a'.repeat(31),
  'b'.repeat(36),
];
const counted = [`${'c'.repeat(33)}"`, `${'d'.repeat(40)}",`, `"${'e'.repeat(34)}`, `"${'f'.repeat(3)}"`];
const escapes = [
  '\\',
  '\\"',
  '\\\\"',
  '\\"a',
  '\\u',
  '\\u00',
  '\\u001',
  '\\u001f',
  '\\n',
  '\\u000a',
  '\\/',
  '\\ud83d',
  '\\ud83d\\ude00',
  '\\ude00',
  '\\uD8',
  'a\\',
  '"\\n"',
  '"\\u00',
  '\\n"}',
];
const others = ['12', '.5', '-', 'true', 'null', 'alse', '\n', '\n  ', ', ', '}}', '[[', 'x\n'];
const halves = [
  Buffer.of(0xf0, 0x9f),
  Buffer.of(0x98, 0x80),
  Buffer.of(0x80, 0x22),
  Buffer.of(0x61, 0xe6),
  Buffer.of(0xa5, 0x22, 0x2c),
  Buffer.of(0xed, 0xa0),
];
/** All bytes and pieces; behind them an end token and a mark, which are special, and a token without a text. */
const texts = [
  ...Array.from({ length: 256 }, (_, byte) => Buffer.of(byte)),
  ...[...quotes, ...inside, ...counted, ...escapes, ...others].map((piece) => Buffer.from(piece)),
  ...halves,
];
const end = texts.length;
const mark = end + 1;
const size = end + 3;

let runtime: Runtime;
let vocabulary: Vocabulary;
beforeAll(async () => {
  runtime = native.createRuntime({ threads: 1, isa: null });
  const all = [...texts, Buffer.from('<end>'), Buffer.from('<mark>'), Buffer.alloc(0)];
  const offsets = new Int32Array(size + 1);
  all.forEach((text, id) => (offsets[id + 1] = offsets[id]! + text.length));
  const special = Uint8Array.from(all, (_, id) => (id === end || id === mark ? 1 : 0));
  vocabulary = await native.createVocabulary(runtime, { bytes: Buffer.concat(all), offsets, special });
});
afterAll(() => {
  vocabulary.close();
  runtime.close();
});

const json = (schema: object): ConstraintSpec => ({ kind: 'json', schema: JSON.stringify(schema), path: 'schema' });
const text = (least: number, most: number | null): object => ({
  type: 'string',
  minLength: least,
  ...(most === null ? {} : { maxLength: most }),
});

const specs: Readonly<Record<string, ConstraintSpec>> = {
  'any string': json({ type: 'string' }),
  ...Object.fromEntries(
    [
      [0, 0],
      [0, 1],
      [1, 1],
      [2, 3],
      [3, null],
      [31, 33],
      [33, 34],
      [34, null],
      [35, 41],
      [0, 75],
    ].map(([least, most]) => [
      `a string of ${least} to ${most ?? 'any number of'} characters`,
      json(text(least!, most!)),
    ]),
  ),
  'any object': json({ type: 'object' }),
  'strings in arrays': json({ type: 'array', items: text(1, 4) }),
  'strings of either length': json({ anyOf: [text(0, 2), text(4, 5)] }),
  'a string or an object': json({
    anyOf: [{ type: 'string' }, { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] }],
  }),
  'listed and other members': json({
    type: 'object',
    properties: { a: text(0, 3), ab: { type: 'integer' } },
    additionalProperties: { type: 'string' },
  }),
  'names of a length': json({ type: 'object', propertyNames: text(1, 2), additionalProperties: { type: 'boolean' } }),
  'a pattern': json({ type: 'string', pattern: '^[a-c]*"?[^x]{2}$' }),
  'a pattern of any length': json({ type: 'string', pattern: 'b' }),
  'a pattern and a length': json({ type: 'string', pattern: '^a', maxLength: 40 }),
  'a format': json({ type: 'string', format: 'date-time' }),
  'constants with escapes': json({ enum: ['a"b', 'é\n', '\u0001', '\\'] }),
  'a recursive schema': json({
    type: 'object',
    properties: { a: { anyOf: [{ $ref: '#' }, text(2, 2)] } },
    required: ['a'],
  }),
  'strings of a grammar': {
    kind: 'grammar',
    path: 'grammar',
    text: 'root ::= "[" string ("," string)* "]"\nstring ::= "\\"" ([^"\\\\\\x00-\\x1f] | "\\\\" ["\\\\/bfnrt])* "\\""',
  },
  'calls between special tokens': {
    kind: 'calls',
    path: 'tool_choice',
    calls: {
      ...{ prefix: '<mark>', between: ', ', suffix: ']', parallel: true },
      tools: [
        { begin: '[', end: '<mark>', schema: JSON.stringify({ type: 'object' }), path: 'a' },
        { begin: '(', end: '<mark>', schema: JSON.stringify({ properties: { a: text(0, 3) } }), path: 'b' },
      ],
    },
  },
  'an expression': { kind: 'regex', pattern: '"[^"]*"( "[a-z]{1,40}")?', path: 'regex' },
};

/** Numbers in [0, 1) that are the same each time. */
function draws(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

it.each(Object.entries(specs))('%s: every mask is right, wherever a text stands', async (_name, spec) => {
  const message = compiled(spec, [['<mark>', mark]]);
  const grammar = native.createGrammar(vocabulary, message);
  for (let run = 0; run < 4; run++) {
    const draw = draws(run);
    const filter = native.createTokenFilter(runtime, {
      ...{ grammar, vocabularySize: size, endTokens: Int32Array.of(end) },
      ...{ allowedTokens: new Int32Array(0), badWords: [], minTokens: 0 },
    });
    const tokens: number[] = [];
    let chart = Chart.of(message);
    while (tokens.length < 24) {
      const mask = await filter.mask(Int32Array.from(tokens));
      const found = Array.from({ length: size }, (_, id) => id).filter(
        (id) => (mask![id >> 5]! >>> (id & 31)) % 2 === 1,
      );
      const expected = texts.flatMap((bytes, id) => (after(chart, bytes).alive ? [id] : []));
      if (chart.whole) expected.push(end);
      if (chart.afterToken(mark).alive) expected.push(mark);
      const written = Buffer.concat(tokens.map((id) => texts[id] ?? Buffer.from('<mark>')));
      expect(found.map(shown), `behind ${JSON.stringify(written.toString())}`).toEqual(expected.map(shown));
      expect(filter.complete).toBe(chart.whole);
      const next = found.filter((id) => id !== end);
      if (next.length === 0) break;
      const token = next[Math.floor(draw() * next.length)]!;
      tokens.push(token);
      chart = token === mark ? chart.afterToken(mark) : after(chart, texts[token]!);
    }
  }
});

function after(chart: Chart, bytes: Uint8Array): Chart {
  let at = chart;
  for (const byte of bytes) {
    if (!at.alive) break;
    at = at.after(byte);
  }
  return at;
}

function shown(id: number): string {
  return texts[id]?.toString('latin1') ?? `token ${id - end} behind the texts`;
}
