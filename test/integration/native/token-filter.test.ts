import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileConstraint } from '../../../controller/text/constraint/request/compile-constraint.ts';
import type { ConstraintSpec } from '../../../controller/text/constraint/request/constraint-spec.ts';
import { loadNative } from '../../../native/load.ts';
import type { Runtime, TokenFilterOptions, Vocabulary } from '../../../native/native.ts';

const native = loadNative();
const pieces = [
  '{"',
  '":',
  '",',
  '"}',
  '"]',
  '[{',
  '}}',
  'true',
  'null',
  'ab',
  'the ',
  'é',
  '😀',
  '12',
  '.5',
  '\\u00',
  '\n  ',
  '", "',
];
/** All bytes, some pieces, an end token that is special, and one without a text. */
const texts = [
  ...Array.from({ length: 256 }, (_, byte) => Buffer.of(byte)),
  ...pieces.map((piece) => Buffer.from(piece)),
];
const end = texts.length;
const size = end + 2;

let runtime: Runtime;
let vocabulary: Vocabulary;

beforeAll(async () => {
  runtime = native.createRuntime({ threads: 1, isa: null });
  const all = [...texts, Buffer.from('<end>'), Buffer.alloc(0)];
  const offsets = new Int32Array(size + 1);
  all.forEach((text, id) => (offsets[id + 1] = offsets[id]! + text.length));
  const special = Uint8Array.from(all, (_, id) => (id === end ? 1 : 0));
  vocabulary = await native.createVocabulary(runtime, { bytes: Buffer.concat(all), offsets, special });
});

afterAll(() => {
  vocabulary.close();
  runtime.close();
});

function filter(spec: ConstraintSpec | null, options: Partial<TokenFilterOptions> = {}) {
  const answer = spec && compileConstraint({ spec, preamble: null, tokens: [] });
  if (answer !== null && 'problem' in answer) throw new Error(`${answer.field}: ${answer.problem}`);
  return native.createTokenFilter(runtime, {
    grammar: answer && native.createGrammar(vocabulary, answer.grammar),
    vocabularySize: size,
    endTokens: Int32Array.of(end),
    allowedTokens: new Int32Array(0),
    badWords: [],
    minTokens: 0,
    ...options,
  });
}

function allowed(mask: Uint32Array | null): readonly number[] {
  return Array.from({ length: size }, (_, id) => id).filter(
    (id) => mask === null || (mask[id >> 5]! >>> (id & 31)) % 2 === 1,
  );
}

function json(schema: unknown): ConstraintSpec {
  return { kind: 'json', schema: JSON.stringify(schema), path: 'schema' };
}

/** What a model that draws at random writes; it ends as soon as it may once it has written `long` tokens. */
async function randomText(schema: unknown, draw: () => number, long: number): Promise<string> {
  const filtered = filter(json(schema));
  const tokens: number[] = [];
  for (;;) {
    const next = allowed(await filtered.mask(Int32Array.from(tokens)));
    expect(next.length).toBeGreaterThan(0);
    if (next.includes(end) && (tokens.length >= long || next.length === 1)) break;
    const others = next.filter((id) => id !== end);
    // Beyond its length it prefers what closes.
    const closing = others.filter((id) => [0x22, 0x7d, 0x5d].includes(id));
    const from = tokens.length >= long && closing.length > 0 ? closing : others;
    tokens.push(from[Math.floor(draw() * from.length)]!);
  }
  return Buffer.concat(tokens.map((id) => texts[id]!)).toString();
}

const scalar = fc.oneof(
  fc.record({ type: fc.constant('string'), minLength: fc.nat(2), maxLength: fc.integer({ min: 2, max: 9 }) }),
  fc.constantFrom(
    { type: 'string' },
    { type: 'boolean' },
    { type: 'null' },
    { enum: ['a', 'b"c', 1.5, null] },
    { const: { x: [1] } },
  ),
  fc.constantFrom({ type: 'string', format: 'date' }, { type: 'string', pattern: '^[a-c]+-\\d{1,2}$' }),
  fc.record({
    type: fc.constantFrom('integer', 'number'),
    minimum: fc.integer({ min: -50, max: 0 }),
    maximum: fc.integer({ min: 1, max: 999 }),
  }),
);
const { schema: schemas } = fc.letrec<{ schema: unknown }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc
      .record({
        properties: fc.dictionary(fc.constantFrom('a', 'b', 'é', 'x y', 'q"'), tie('schema'), { maxKeys: 3 }),
        required: fc.subarray(['a', 'b']),
        additionalProperties: fc.constantFrom(false, { type: 'integer', minimum: 0, maximum: 9 }),
      })
      .map((asked) => ({ type: 'object', ...asked, maxProperties: 6 }))
      .filter(
        ({ additionalProperties, properties, required }) =>
          additionalProperties !== false || required.every((name) => name in properties),
      ),
    fc.record({
      type: fc.constant('array'),
      items: tie('schema'),
      minItems: fc.nat(2),
      maxItems: fc.integer({ min: 2, max: 4 }),
    }),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
  ),
}));

describe('a filter of tokens', () => {
  it('makes whatever a random model writes satisfy its schema, as an independent validator sees it', async () => {
    const ajv = new Ajv2020.default({ strict: false });
    addFormats.default(ajv);
    await fc.assert(
      fc.asyncProperty(
        schemas,
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        async (schema, numbers) => {
          const text = await randomText(schema, () => numbers.next().value as number, 40);
          const valid = ajv.compile(schema as object);
          expect(valid(JSON.parse(text)), `${text} ${JSON.stringify(valid.errors)}`).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('says the same of a sequence whichever tokens it has been shown before', async () => {
    const spec = json({ type: 'object', properties: { a: { type: 'string' } }, required: ['a'] });
    const tokens = [...Buffer.from('{"a":"xy')];
    const followed = filter(spec);
    for (let count = 0; count <= tokens.length; count++) await followed.mask(Int32Array.from(tokens.slice(0, count)));
    const resumed = filter(spec);
    for (const length of [tokens.length, 3, tokens.length]) {
      const outputs = Int32Array.from(tokens.slice(0, length));
      expect(await resumed.mask(outputs)).toEqual(await filter(spec).mask(outputs));
    }
    expect(await followed.mask(Int32Array.from(tokens))).toEqual(await resumed.mask(Int32Array.from(tokens)));
  });

  it('allows the end exactly where the text may end, and special tokens nowhere else', async () => {
    const filtered = filter({ kind: 'choice', choices: ['a', 'ab'], path: 'choice' });
    expect(allowed(await filtered.mask(Int32Array.of()))).toEqual([
      0x61,
      texts.findIndex((text) => text.toString() === 'ab'),
    ]);
    expect(allowed(await filtered.mask(Int32Array.of(0x61)))).toEqual([0x62, end]);
    expect(filtered.complete).toBe(true);
    expect(allowed(await filtered.mask(Int32Array.of(0x61, 0x62)))).toEqual([end]);
  });

  it('allows nothing behind tokens that are none of the grammar, without an end', async () => {
    const filtered = filter({ kind: 'choice', choices: ['a'], path: 'choice' });
    expect(allowed(await filtered.mask(Int32Array.of(0x62)))).toEqual([]);
    expect(filtered.complete).toBe(false);
  });

  it('forbids ends, words and other tokens without a grammar', async () => {
    const short = filter(null, { minTokens: 2 });
    expect(allowed(await short.mask(Int32Array.of(1)))).not.toContain(end);
    expect(await short.mask(Int32Array.of(1, 2))).toBeNull();
    const words = filter(null, { badWords: [Int32Array.of(7), Int32Array.of(8, 9)] });
    expect(allowed(await words.mask(Int32Array.of(8)))).not.toContain(9);
    expect(allowed(await words.mask(Int32Array.of(9)))).toContain(9);
    expect(allowed(await words.mask(Int32Array.of()))).not.toContain(7);
    expect(allowed(await filter(null, { allowedTokens: Int32Array.of(3, 5) }).mask(Int32Array.of()))).toEqual([3, 5]);
  });

  it('ends a text that may not go on, however short it is', async () => {
    const filtered = filter({ kind: 'choice', choices: ['a'], path: 'choice' }, { minTokens: 10 });
    expect(allowed(await filtered.mask(Int32Array.of(0x61)))).toEqual([end]);
  });

  it('bounds what an ambiguous grammar takes, and ends its texts', async () => {
    const text = 'root ::= a{0,60}\na ::= "x" b | "x" c | "x" root "y"\nb ::= root "z" | "z"\nc ::= root "w" | "w"';
    const filtered = filter({ kind: 'grammar', text, path: 'grammar' });
    const tokens: number[] = [];
    for (let i = 0; i < 400; i++) {
      if (allowed(await filtered.mask(Int32Array.from(tokens))).length === 0) break;
      tokens.push(0x78);
    }
    expect(tokens.length).toBeGreaterThanOrEqual(3);
  });

  it('refuses what does not fit', () => {
    const tables = {
      rules: Buffer.alloc(4),
      edgeOffsets: Buffer.alloc(8),
      edges: Buffer.alloc(0),
      final: Buffer.alloc(1),
      plainRuns: Buffer.alloc(4),
    };
    expect(() => native.createGrammar(vocabulary, { ...tables, rules: Buffer.from([9, 0, 0, 0]) })).toThrow(
      'grammar.rules[0]: expected a state, got 9',
    );
    expect(() => native.createGrammar(vocabulary, { ...tables, edges: Buffer.alloc(3) })).toThrow(
      'grammar.edges: expected 4 bytes for each entry, got 3 bytes',
    );
    expect(() => filter(null, { badWords: [Int32Array.of(size)] })).toThrow(
      'badWords[0]: expected a token of the vocabulary',
    );
  });
});
