import { describe, expect, it } from 'vitest';
import { readChatTemplates } from '../../../../controller/text/chat/chat-template.ts';
import { textFiles } from './tokenizer-fixtures.ts';

describe('the chat templates of a checkpoint', () => {
  const place = 'tokenizer_config.json: chat_template';
  const named = [
    { name: 'default', template: 'plain' },
    { name: 'tool_use', template: 'with tools' },
  ];
  it.each([
    ['the file before the configuration', 'file', 'config', { name: 'chat_template.jinja', source: 'file' }, null],
    ['the configuration', null, 'config', { name: place, source: 'config' }, null],
    [
      'named templates',
      null,
      named,
      { name: `${place} "default"`, source: 'plain' },
      { name: `${place} "tool_use"`, source: 'with tools' },
    ],
  ])('come from %s', (_name, chatTemplate, config, expected, toolUse) => {
    const files = { ...textFiles({}, { chat_template: config }), chatTemplate };
    expect(readChatTemplates(files)).toEqual({ default: expected, toolUse });
  });

  it('for tools may lie beside a single one', () => {
    const files = { ...textFiles({}), chatTemplate: 'plain', additionalChatTemplates: { tool_use: 'with tools' } };
    expect(readChatTemplates(files)).toEqual({
      default: { name: 'chat_template.jinja', source: 'plain' },
      toolUse: { name: 'additional_chat_templates/tool_use.jinja', source: 'with tools' },
    });
  });

  it('are read up to a length', () => {
    const files = { ...textFiles({}), chatTemplate: 'x'.repeat(2 ** 20 + 1) };
    expect(() => readChatTemplates(files)).toThrow('chat_template.jinja has 1048577 characters; at most 1048576');
  });
});
