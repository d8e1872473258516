import { afterAll, describe, expect, it } from 'vitest';
import type { TextFiles } from '../../../controller/model/checkpoint/checkpoint-files.ts';
import { type ChatInput } from '../../../controller/text/chat/chat-template.ts';
import type { Json } from '../../../controller/text/json/exact-json.ts';
import { createTextModel, type TextModel } from '../../../controller/text/text-model.ts';
import { sentencePieceFiles } from '../../unit/controller/gateway/tokenizer-fixtures.ts';

const files = sentencePieceFiles();

const opened: TextModel[] = [];
afterAll(() => Promise.all(opened.map((text) => text.close())));

async function textModel(changes: Partial<TextFiles>): Promise<TextModel> {
  const text = await createTextModel({ ...files, ...changes });
  opened.push(text);
  return text;
}

async function withTemplate(chatTemplate: string): Promise<TextModel> {
  return textModel({ chatTemplate });
}

function input(changes: Partial<ChatInput> = {}): ChatInput {
  return {
    messages: [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Hi' },
    ],
    tools: null,
    documents: null,
    addGenerationPrompt: true,
    continueFinalMessage: false,
    templateArguments: {},
    ...changes,
  };
}

const plain = `{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`;

describe('chat templates', () => {
  it.each([
    ['messages and the generation prompt', plain, input(), '<system>Be kind.<user>Hi<assistant>'],
    ['no generation prompt', plain, input({ addGenerationPrompt: false }), '<system>Be kind.<user>Hi'],
    ['special tokens', '{{ bos_token }}|{{ eos_token }}', input(), '<s>|</s>'],
    ['tools', '{{ tools | tojson }}', input({ tools: [{ type: 'function' }] }), '[{"type": "function"}]'],
    ['no tools', '{% if tools is defined and tools %}some{% else %}{{ tools }}{% endif %}', input(), 'None'],
    [
      'arguments of its own',
      '{{ enable_thinking }}',
      input({ templateArguments: { enable_thinking: false } }),
      'False',
    ],
    ['the date', "{{ strftime_now('%Y') | length }}", input(), '4'],
  ])('see %s', async (_name, template, chat, expected) => {
    expect(await (await withTemplate(template)).renderChat(chat)).toBe(expected);
  });

  it('may leave the last message open', async () => {
    const chat = input({
      messages: [
        { role: 'user', content: 'Count' },
        { role: 'assistant', content: 'one, two' },
      ],
      addGenerationPrompt: false,
      continueFinalMessage: true,
    });
    const template = '{% for m in messages %}<{{ m.role }}>{{ m.content }}</end>{% endfor %}';
    expect(await (await withTemplate(template)).renderChat(chat)).toBe('<user>Count</end><assistant>one, two');
  });

  it.each([
    ['raises an exception', "{{ raise_exception('roles must alternate') }}", 'roles must alternate'],
    ['fails', '{{ messages[9].content.strip() }}', 'the chat template refused the messages'],
  ])('refuse a conversation when the template %s', async (_name, template, message) => {
    await expect((await withTemplate(template)).renderChat(input())).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      field: 'messages',
      message: expect.stringContaining(message),
    });
  });

  it('are missing in a model without one, which says so', async () => {
    const text = await textModel({});
    expect(text.chatObstacle).toContain('no chat template');
    await expect(text.renderChat(input())).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('no chat template'),
    });
  });

  it('that are not Jinja leave text completions alone', async () => {
    const text = await withTemplate('{% for %}');
    await expect(text.renderChat(input())).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('the chat template of the model cannot be read: '),
    });
    expect(await text.encode('the', false, 10)).toHaveLength(1);
  });

  it('of many messages are rendered like those of few', async () => {
    const text = await withTemplate(plain);
    const contents = Array.from({ length: 100 }, (_, i) => `message ${i}`);
    const messages = contents.map((content) => ({ role: 'user', content }));
    const expected = contents.map((content) => `<user>${content}`).join('');
    expect(await text.renderChat(input({ messages }))).toBe(`${expected}<assistant>`);
  });

  it('may get values that are nested too deeply to be handed over, which harms nobody else', async () => {
    const text = await withTemplate(plain);
    let nested: Json = [];
    for (let depth = 0; depth < 200_000; depth++) nested = [nested];
    const deep = input({ templateArguments: { nested } });
    await expect(text.renderChat(deep)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    expect(await text.renderChat(input())).toBe('<system>Be kind.<user>Hi<assistant>');
  });
});
