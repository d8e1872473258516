import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileModel } from '../../../../../controller/model/compile.ts';
import { Problems } from '../../../../../controller/model/config/problems.ts';
import { readGgufConfig } from '../../../../../controller/model/gguf/architectures/config.ts';
import { parseGguf, Truncated } from '../../../../../controller/model/gguf/container.ts';
import { ggufTokenizer } from '../../../../../controller/model/gguf/tokenizer.ts';
import { loadTextModel } from '../../../../../controller/text/text-model.ts';

const fixture = join(import.meta.dirname, '../../../../fixtures/quantised/gguf_mixtral_q4_0/model.gguf');

describe('a GGUF file', () => {
  it('is a model with experts of its own', async () => {
    const { spec, report } = await compileModel(fixture);
    expect(report).toMatchObject({ modelType: 'mixtral', experts: { perLayer: 4, topK: 2 }, layers: 2 });
    expect(spec.layers[0]?.blocks[0]?.operators[0]?.gqa?.q?.weight).toMatchObject({
      encoding: 'MATRIX_ENCODING_BLOCKS',
      codes: { blockType: 'BLOCK_TYPE_Q4_0' },
    });
    expect(spec.ropes[0]?.layout).toBe('ROPE_LAYOUT_INTERLEAVED');
  });

  it('tokenises as the tokenizer.json that it was converted from', async () => {
    const [own, original] = await Promise.all([
      loadTextModel(fixture),
      loadTextModel(join(fixture, '../../awq_llama')),
    ]);
    for (const text of ['the <|im_end|> of it', "It's 1234 o'clock\n\n  x", 'größer 漢字 👩‍🚀', '']) {
      expect(await own.encode(text, true, 100)).toEqual(await original.encode(text, true, 100));
    }
    expect(own.chatObstacle).toBe(original.chatObstacle);
    await Promise.all([own.close(), original.close()]);
  });

  it('is read again where its head is longer than what was read', () => {
    const bytes = Buffer.alloc(24);
    bytes.writeUInt32LE(0x46554747);
    bytes.writeUInt32LE(3, 4);
    bytes.writeBigUInt64LE(1n, 8);
    expect(() => parseGguf(bytes)).toThrow(Truncated);
    bytes.writeUInt32LE(1, 4);
    expect(() => parseGguf(bytes)).toThrow('GGUF version 1; supported: 2, 3');
    bytes.writeUInt32LE(7);
    expect(() => parseGguf(bytes)).toThrow('it does not begin with "GGUF"');
  });

  it.each<[Record<string, string | number>, string]>([
    [{ 'general.architecture': 'rwkv7' }, 'general.architecture is "rwkv7"; supported: llama, '],
    [{ 'general.architecture': 'llama', 'llama.attention.scale': 2 }, 'llama.attention.scale is 2, which is not'],
    [
      { 'general.architecture': 'llama', 'llama.attention.key_length': 64, 'llama.rope.dimension_count': 32 },
      'llama.rope.dimension_count is 32; supported: the width of a head, 64',
    ],
  ])('of another kind is refused by key and value: %j', (metadata, problem) => {
    const problems = new Problems();
    readGgufConfig(new Map(Object.entries(metadata)), new Map(), null, problems);
    expect(() => problems.throwIfAny('x')).toThrow(problem);
  });

  it('with a tokenizer of another kind is refused by key and value', () => {
    const tokens = { 'tokenizer.ggml.tokens': ['a'], 'tokenizer.ggml.merges': [] as string[] };
    const read = (more: object) => ggufTokenizer(new Map(Object.entries({ ...tokens, ...more })));
    expect(() => read({ 'tokenizer.ggml.model': 't5' })).toThrow(
      'tokenizer.ggml.model is "t5"; supported: "gpt2", "llama", "gemma4"',
    );
    expect(() => read({ 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'superbpe' })).toThrow(
      'tokenizer.ggml.pre is "superbpe"; supported: "gpt-2"',
    );
  });
});
