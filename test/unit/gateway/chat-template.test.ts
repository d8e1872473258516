import { describe, expect, it } from 'vitest';
import { type ChatInput, readChatTemplates } from '../../../controller/gateway/chat-template.ts';
import type { TextFiles } from '../../../controller/gateway/checkpoint-files.ts';
import { createTextModel } from '../../../controller/gateway/text-model.ts';
import { sentencePieceFiles } from './tokenizer-fixtures.ts';

const files = sentencePieceFiles();

function withTemplate(chatTemplate: string, changes: Partial<TextFiles> = {}): TextFiles {
  return { ...files, chatTemplate, ...changes };
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
    ['no tools', '{% if tools is defined and tools %}some{% else %}none{% endif %}', input(), 'none'],
    [
      'arguments of its own',
      '{{ enable_thinking }}',
      input({ templateArguments: { enable_thinking: false } }),
      'false',
    ],
    ['the date', "{{ strftime_now('%Y') | length }}", input(), '4'],
  ])('see %s', async (_name, template, chat, expected) => {
    expect(await createTextModel(withTemplate(template)).renderChat(chat)).toBe(expected);
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
    expect(await createTextModel(withTemplate(template)).renderChat(chat)).toBe('<user>Count</end><assistant>one, two');
  });

  it.each([
    ['raises an exception', "{{ raise_exception('roles must alternate') }}", 'roles must alternate'],
    ['fails', '{{ messages[9].content.strip() }}', 'the chat template refused the messages'],
  ])('refuse a conversation when the template %s', async (_name, template, message) => {
    await expect(createTextModel(withTemplate(template)).renderChat(input())).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      field: 'messages',
      message: expect.stringContaining(message),
    });
  });

  it('are missing in a model without one, which says so', async () => {
    const text = createTextModel(files);
    expect(text.chatObstacle).toContain('no chat template');
    await expect(text.renderChat(input())).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('no chat template'),
    });
  });

  it('that are not Jinja leave text completions alone', async () => {
    const text = createTextModel(withTemplate('{% for %}'));
    await expect(text.renderChat(input())).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('the chat template of the model cannot be read: '),
    });
    expect(await text.encode('the', false, 10)).toHaveLength(1);
  });

  const named = [
    { name: 'default', template: 'plain' },
    { name: 'tool_use', template: 'with tools' },
  ];
  it.each([
    ['the file before the configuration', 'file', 'config', 'file', null],
    ['the configuration', null, 'config', 'config', null],
    ['named templates', null, named, 'plain', 'with tools'],
  ])('come from %s', (_name, file, config, expected, toolUse) => {
    const found = readChatTemplates({
      ...files,
      chatTemplate: file,
      tokenizerConfig: { chat_template: config },
    });
    expect(found).toEqual({ default: expected, toolUse });
  });
});
