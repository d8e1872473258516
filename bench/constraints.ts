/**
 * What masks of constraints cost per token at a vocabulary of 150,000: with a schema that is new, and once its masks are
 * remembered. The baseline is a filter without a grammar, which fills a mask as large.
 */
import { compileConstraint } from '../controller/text/constraint/request/compile-constraint.ts';
import { loadNative } from '../native/load.ts';
import type { Native, Runtime, TokenFilter, Vocabulary } from '../native/native.ts';
import { publish, quantile, rounded } from './report.ts';

const size = 150_000;
const seed = 1;

const schemas: Readonly<Record<string, { readonly schema: object; readonly text: string }>> = {
  'four properties': {
    schema: {
      type: 'object',
      properties: {
        name: { type: 'string' },
        age: { type: 'integer' },
        email: { type: 'string' },
        tags: { type: 'array', items: { type: 'string' } },
      },
      required: ['name', 'age', 'email', 'tags'],
    },
    text: '{"name":"Jane of the third","age":41,"email":"jane@example.com","tags":["one","two words"]}',
  },
  'any object': { schema: { type: 'object' }, text: '{"a":[1,2,{"b":"some text of a string","c":null}],"d":true}' },
  recursive: {
    schema: {
      type: 'object',
      properties: { v: { type: 'number' }, next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } },
      required: ['v', 'next'],
    },
    text: '{"v":1.5,"next":{"v":2,"next":{"v":3,"next":null}}}',
  },
  'date-time, pattern': {
    schema: {
      type: 'object',
      properties: { d: { type: 'string', format: 'date-time' }, p: { type: 'string', pattern: '^[A-Z]{2}-\\d{4}$' } },
      required: ['d', 'p'],
    },
    text: '{"d":"2024-02-29T12:30:00Z","p":"AB-1234"}',
  },
  'up to 200 characters': {
    schema: { type: 'object', properties: { s: { type: 'string', maxLength: 200 } }, required: ['s'] },
    text: `{"s":"${'word and '.repeat(15)}"}`,
  },
};

/** All bytes, then words of letters, with a blank before them or a mark behind, as vocabularies have them. */
function words(): string[] {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const marks = ['', '', '', '', '', '', '', '"', '",', '":', '."', ')', '();\n', '\n'];
  const found = new Set<string>();
  while (found.size < size - 257) {
    const letters = Array.from({ length: 2 + random(7) }, () => 'etaoinshrdlucmwfgypb'[random(20)]).join('');
    found.add(`${random(2) === 0 ? ' ' : ''}${letters}${marks[random(marks.length)]}`);
  }
  return [...found];
}

async function openVocabulary(native: Native, runtime: Runtime): Promise<Vocabulary> {
  const tokens = [
    ...Array.from({ length: 256 }, (_, byte) => Buffer.of(byte)),
    ...words().map((word) => Buffer.from(word)),
    Buffer.from('<end>'),
  ];
  const offsets = new Int32Array(size + 1);
  tokens.forEach((token, id) => (offsets[id + 1] = offsets[id]! + token.length));
  const special = new Uint8Array(size);
  special[size - 1] = 1;
  return native.createVocabulary(runtime, { bytes: Buffer.concat(tokens), offsets, special });
}

/** Microseconds of a mask behind each prefix of a text. */
async function follow(filter: TokenFilter, text: string): Promise<number[]> {
  const tokens = Int32Array.from(Buffer.from(text));
  const times: number[] = [];
  for (let count = 0; count <= tokens.length; count++) {
    const startedAt = performance.now();
    await filter.mask(tokens.subarray(0, count));
    times.push((performance.now() - startedAt) * 1000);
  }
  return times;
}

const native = loadNative();
const runtime = native.createRuntime({ threads: 1, isa: null });
const vocabulary = await openVocabulary(native, runtime);
const options = {
  vocabularySize: size,
  endTokens: Int32Array.of(size - 1),
  allowedTokens: new Int32Array(0),
  minTokens: 0,
  badWords: [],
};
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const rows = [];
for (const [name, { schema, text }] of Object.entries(schemas)) {
  const startedAt = performance.now();
  const answer = compileConstraint({
    spec: { kind: 'json', schema: JSON.stringify(schema), path: 'schema' },
    preamble: null,
    tokens: [],
  });
  if ('problem' in answer) throw new Error(answer.problem);
  const compileMs = performance.now() - startedAt;
  const grammar = native.createGrammar(vocabulary, answer.grammar);
  const make = (): TokenFilter => native.createTokenFilter(runtime, { ...options, grammar });
  const first = await follow(make(), text);
  const later = await follow(make(), text);
  const plain = native.createTokenFilter(runtime, { ...options, grammar: null, badWords: [Int32Array.of(0)] });
  const baseline = await follow(plain, text);
  rows.push({
    schema: name,
    'compile ms': rounded(compileMs),
    'new: mean µs': rounded(mean(first)),
    'new: p99 µs': rounded(quantile(first, 0.99)),
    'later: mean µs': rounded(mean(later)),
    'baseline: mean µs': rounded(mean(baseline)),
  });
}
vocabulary.close();
runtime.close();
publish({
  name: 'constraints',
  question: 'What do masks of constraints cost per token?',
  conditions: { vocabulary: size, tokens: 'one byte each: a mask for every place in a text' },
  seed,
  rows,
  notes: ['Times are those of a call from JavaScript to a native thread and back, with its mask.'],
});
