import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createTextModel, loadTextModel } from '../../../../controller/text/text-model.ts';
import { createTokenizer } from '../../../../controller/text/tokenizer.ts';
import { packageRoot } from '../../../../proto/messages.ts';
import { byteLevelFiles, sentencePieceFiles, textFiles } from './tokenizer-fixtures.ts';

describe('a text model', () => {
  it('refuses a text that cannot fit before it is tokenised', async () => {
    const text = await createTextModel(byteLevelFiles());
    const longest = createTokenizer(byteLevelFiles()).maxCharactersPerToken;
    await expect(text.encode('a'.repeat(10 * longest + 1), false, 10)).rejects.toMatchObject({
      code: 'CONTEXT_LENGTH_EXCEEDED',
    });
  });

  it('takes sampling defaults from generation_config.json', async () => {
    const files = {
      ...byteLevelFiles(),
      generationConfig: { temperature: 0.6, top_k: 20, top_p: 0.95, do_sample: true },
    };
    expect((await createTextModel(files)).samplingDefaults).toEqual({
      temperature: 0.6,
      topK: 20,
      topP: 0.95,
      minP: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
    });
  });

  it('refuses sampling defaults that make no sense', async () => {
    const files = { ...byteLevelFiles(), generationConfig: { top_p: 7 } };
    await expect(createTextModel(files)).rejects.toThrow('generation_config.json: top_p: 7');
  });

  it.each([
    ['no tokenizer', 'tokenizer.json', null, /^.*: 1 problem\n {2}tokenizer\.json: no such file/],
    ['a file that is no JSON', 'tokenizer_config.json', '{bad', /tokenizer_config\.json: not valid JSON/],
    ['a file that is no object', 'special_tokens_map.json', '[]', /special_tokens_map\.json: expected a JSON object/],
    [
      'a temperature below 0',
      'generation_config.json',
      '{"temperature": -3}',
      /temperature: -3 is not between 0 and 1000000/,
    ],
    ['a tokenizer without vocabulary', 'tokenizer.json', '{"model": {"type": "BPE"}}', /tokenizer\.json: /],
  ])('is refused where a checkpoint has %s', async (_, name, content, message) => {
    const folder = await mkdtemp(join(tmpdir(), 'conclave-text-'));
    await cp(join(packageRoot, 'models/clerk'), folder, {
      recursive: true,
      filter: (path) => !path.endsWith('.safetensors'),
    });
    if (content === null) await rm(join(folder, name));
    else await writeFile(join(folder, name), content);
    const expected = { code: 'INVALID_MODEL', directory: folder, message: expect.stringMatching(message) };
    await expect(loadTextModel(folder)).rejects.toMatchObject(expected);
    await rm(folder, { recursive: true });
  });

  it('refuses decoders that it cannot stream, by name', () => {
    const tokenizer = {
      ...sentencePieceFiles().tokenizer,
      decoder: { type: 'CTC', pad_token: '', word_delimiter_token: '|' },
    };
    expect(() => createTokenizer(textFiles(tokenizer))).toThrow('tokenizer.json: decoder CTC is not supported');
  });

  it('knows special tokens from all of the files', () => {
    const files = byteLevelFiles();
    const { special } = createTokenizer({
      ...files,
      tokenizerConfig: { ...files.tokenizerConfig, additional_special_tokens: ['a'], pad_token: { content: 'b' } },
      specialTokensMap: { unk_token: 'c' },
    });
    const vocab = (files.tokenizer['model'] as { vocab: Record<string, number> }).vocab;
    for (const token of ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<s>', 'a', 'b', 'c']) {
      expect(special.ids).toContain(vocab[token]);
    }
    expect(special.names).toEqual({
      bos_token: '<|endoftext|>',
      eos_token: '<|im_end|>',
      pad_token: 'b',
      unk_token: 'c',
    });
  });
});
