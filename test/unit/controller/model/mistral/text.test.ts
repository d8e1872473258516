import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mistralTemplate } from '../../../../../controller/model/mistral/chat-template.ts';
import { tekkenTokenizer } from '../../../../../controller/model/mistral/tekken.ts';
import { Template } from '../../../../../controller/text/jinja/template.ts';
import { parseJson } from '../../../../../controller/text/jinja/values/from-json.ts';
import { loadTextModel } from '../../../../../controller/text/text-model.ts';

/* Token ids and texts are those of mistral-common 1.13.1. */
const pattern =
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const bytes = Array.from({ length: 256 }, (_, byte) => Buffer.of(byte));
const words = ['he', 'll', 'hell', 'hello', ' w', 'or', ' wor', 'ld', ' world', 'é', '漢', '12'].map((word) =>
  Buffer.from(word),
);
const tekken = {
  config: { pattern, default_vocab_size: 292, default_num_special_tokens: 24, version: 'v7' },
  vocab: [...bytes, ...words].map((token, rank) => ({ rank, token_bytes: token.toString('base64') })),
};

describe('tekken.json', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-tekken-'));
    await writeFile(join(folder, 'tekken.json'), JSON.stringify(tekken));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each([
    ['hello world', [1, 283, 288]],
    ['héllo 漢字 1212\n', [1, 128, 289, 281, 135, 56, 254, 212, 186, 253, 197, 175, 56, 73, 74, 73, 74, 34]],
    [" World's", [1, 56, 111, 285, 287, 63, 139]],
  ])('tokenises %j', async (text, ids) => {
    const model = await loadTextModel(folder);
    expect(await model.encode(text, true, 100)).toEqual(ids);
    expect(model.specialTokens.get('[INST]')).toBe(3);
    await model.close();
  });

  it.each([
    [{ vocab: [] }, 'tekken.json: vocab has 0 tokens; expected 268'],
    [{ config: { ...tekken.config, version: 'v2' } }, 'a version from "v3" on'],
    [{ vocab: tekken.vocab.toReversed() }, 'tekken.json: vocab[0] is {"rank":267'],
  ])('that is not whole is refused by key: %#', (changes, problem) => {
    expect(() => tekkenTokenizer({ ...tekken, ...changes })).toThrow(problem);
  });
});

const city = { city: 'Paris' };
const call = { id: 'abcdefghi', type: 'function', function: { name: 'get_weather', arguments: city } };
const tools = [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object' } } }];
const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi there' },
  { role: 'assistant', content: 'Hello! ' },
  { role: 'user', content: [{ type: 'text', text: 'Weather in Paris?' }] },
  { role: 'assistant', content: '', tool_calls: [call] },
  { role: 'tool', tool_call_id: 'abcdefghi', content: '{"t": 22}' },
  { role: 'assistant', content: '22 degrees.' },
  { role: 'user', content: 'Thanks' },
];

const available =
  '[AVAILABLE_TOOLS][{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}][/AVAILABLE_TOOLS]';
const called = '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "abcdefghi"}]</s>';
const start = '[INST]Hi there[/INST]Hello!</s>[INST]Weather in Paris?[/INST]';
const brief = '[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT]';

describe('a conversation', () => {
  it.each([
    [
      3,
      `<s>${start}${called}[TOOL_RESULTS]{"content": {"t": 22}, "call_id": "abcdefghi"}[/TOOL_RESULTS]22 degrees.</s>${available}[INST]Be brief.\n\nThanks[/INST]`,
    ],
    [
      7,
      `<s>${brief}${start}${called}[TOOL_RESULTS]abcdefghi[TOOL_CONTENT]{"t": 22}[/TOOL_RESULTS]22 degrees.</s>${available}[INST]Thanks[/INST]`,
    ],
    [
      11,
      `<s>${brief}${start}[TOOL_CALLS]get_weather[CALL_ID]abcdefghi[ARGS]{"city": "Paris"}</s>[TOOL_RESULTS]abcdefghi[TOOL_CONTENT]{"t": 22}[/TOOL_RESULTS]22 degrees.</s>${available}[INST]Thanks[/INST]`,
    ],
    [
      13,
      `<s>${brief}${available}${start}[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}</s>[TOOL_RESULTS]{"t": 22}[/TOOL_RESULTS]22 degrees.</s>[INST]Thanks[/INST]`,
    ],
  ])('is written as version %i has it', (version, text) => {
    const variables = { messages, tools, bos_token: '<s>', eos_token: '</s>', add_generation_prompt: true };
    expect(new Template(mistralTemplate(version)).render(parseJson(JSON.stringify(variables)))).toBe(text);
  });
});
