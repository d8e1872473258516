import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openCheckpoint } from '../../../controller/gateway/open-checkpoint.ts';
import { packageRoot } from '../../../proto/package-root.ts';

const clerk = join(packageRoot, 'models', 'clerk');
const files = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'] as const;
type Changes = Readonly<Record<string, Readonly<Record<string, unknown>> | string | null>>;

/** The demo model behind links, as Hugging Face's cache has it; keys of its files changed, or files left out with null. */
async function folderWith(changes: Changes, path = ''): Promise<string> {
  const top = await mkdtemp(join(tmpdir(), 'conclave-checkpoint-'));
  onTestFinished(() => rm(top, { recursive: true }));
  const folder = join(top, path);
  await mkdir(folder, { recursive: true });
  await symlink(join(clerk, 'model.safetensors'), join(folder, 'model.safetensors'));
  for (const name of new Set([...files, ...Object.keys(changes)])) {
    const change = changes[name];
    if (change === null) continue;
    const original = (files as readonly string[]).includes(name) ? await readFile(join(clerk, name), 'utf8') : '{}';
    const text = typeof change === 'string' ? change : JSON.stringify({ ...JSON.parse(original), ...change });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

async function open(folder: string, names: readonly string[] | null = null) {
  const opened = await openCheckpoint(folder, names);
  await opened.text.close();
  return opened;
}

const silent = { 'config.json': { eos_token_id: null }, 'generation_config.json': null };
const quiet = { eos_token: null, chat_template: '{{ messages[-1].content }}' };
const [imEnd, endOfText] = ['<|im_end|>', '<|endoftext|>'];

describe('the end tokens of a checkpoint', () => {
  const cases: readonly (readonly [string, Changes, readonly (readonly [number, string, readonly string[]])[]])[] = [
    [
      'all files together',
      { 'special_tokens_map.json': { eos_token: endOfText } },
      [
        [
          258,
          imEnd,
          ['generation_config.json', 'config.json', 'tokenizer_config.json', 'tokenizer_config.json: chat_template'],
        ],
        [256, endOfText, ['generation_config.json', 'special_tokens_map.json']],
      ],
    ],
    [
      'the tokenizer’s configuration alone',
      { ...silent, 'tokenizer_config.json': { ...quiet, eos_token: imEnd } },
      [[258, imEnd, ['tokenizer_config.json']]],
    ],
    [
      'a token that is an object',
      { ...silent, 'tokenizer_config.json': { ...quiet, eos_token: { content: imEnd, special: true } } },
      [[258, imEnd, ['tokenizer_config.json']]],
    ],
    [
      'the map of special tokens alone',
      { ...silent, 'tokenizer_config.json': quiet, 'special_tokens_map.json': { eos_token: { content: endOfText } } },
      [[256, endOfText, ['special_tokens_map.json']]],
    ],
    [
      'what the chat template puts behind an answer',
      { ...silent, 'tokenizer_config.json': { eos_token: endOfText } },
      [
        [256, endOfText, ['tokenizer_config.json']],
        [258, imEnd, ['tokenizer_config.json: chat_template']],
      ],
    ],
    [
      'a template in a file of its own',
      {
        ...silent,
        'tokenizer_config.json': quiet,
        'chat_template.jinja': '{% for m in messages %}<|im_start|>{{ m.content }} <|im_end|><|im_start|>{% endfor %}',
      },
      [[258, imEnd, ['chat_template.jinja']]],
    ],
    [
      'a configuration inside the configuration',
      {
        ...silent,
        'config.json': { eos_token_id: null, text_config: { eos_token_id: [5] } },
        'tokenizer_config.json': quiet,
      },
      [[5, '&', ['config.json']]],
    ],
    [
      'a token that is not in the vocabulary',
      { ...silent, 'tokenizer_config.json': { ...quiet, eos_token: '</s>' } },
      [],
    ],
    [
      'a template that refuses a conversation',
      { ...silent, 'tokenizer_config.json': { ...quiet, chat_template: "{{ raise_exception('no') }}" } },
      [],
    ],
  ];
  it.each(cases)('come from %s', async (_, changes, expected) => {
    const { spec, report } = await open(await folderWith(changes));
    const ends = expected.map(([id, token, sources]) => ({ id, token, sources }));
    expect(report.endTokens).toMatchObject(ends);
    expect(spec.eosTokenIds).toEqual(ends.map(({ id }) => id));
  });
});

describe('a checkpoint', () => {
  const snapshots = 'models--Qwen--Qwen3-30B-A3B/snapshots';
  const commit = '0123456789abcdef0123456789abcdef01234567';
  it('of Hugging Face’s cache has the name of its repository', async () => {
    const folder = await folderWith({}, join(snapshots, commit));
    for (const path of [folder, `${folder}/`, `${folder}/.`, `${folder}/../${commit}`]) {
      expect((await open(path)).names).toEqual(['Qwen/Qwen3-30B-A3B']);
    }
    expect((await open(folder, ['mine', 'other'])).names).toEqual(['mine', 'other']);
    const link = `${folder}-link`;
    await symlink(folder, link);
    onTestFinished(() => rm(link));
    expect((await open(link)).spec.name).toBe('Qwen/Qwen3-30B-A3B');
  });

  it('without an organisation, or elsewhere, has a plain name', async () => {
    expect((await open(await folderWith({}, `models--gpt2/snapshots/${commit}`))).spec.name).toBe('gpt2');
    expect((await open(await folderWith({}, 'snapshots/some-model'))).spec.name).toBe('some-model');
  });

  it('is refused with all that is wrong, in its files of text too', async () => {
    const folder = await folderWith({ 'config.json': { hidden_act: 'gelu' }, 'tokenizer.json': null });
    await expect(open(folder)).rejects.toMatchObject({
      code: 'INVALID_MODEL',
      problems: [
        expect.stringContaining('config.json: hidden_act is "gelu"'),
        expect.stringContaining('tokenizer.json: no such file'),
      ],
      problemCount: 2,
    });
  });

  it('that is no folder is one problem', async () => {
    await expect(open('/nowhere')).rejects.toMatchObject({
      problemCount: 1,
      message: expect.stringContaining('a checkpoint folder'),
    });
  });
});
