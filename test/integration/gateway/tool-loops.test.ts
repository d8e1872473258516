/**
 * Conversations with tools reach the model as its makers meant: character for character what transformers renders of them
 * (test/fixtures/templates/make.py asked it).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chatBody } from '../../../controller/api/fields/chat-body.ts';
import { readChatInput } from '../../../controller/api/fields/chat-messages.ts';
import { exactBody, JsonBody } from '../../../controller/api/fields/json-body.ts';
import { readBody } from '../../../controller/api/fields/read-body.ts';
import { createTextModel, type TextModel } from '../../../controller/text/text-model.ts';
import { packageRoot } from '../../../proto/package-root.ts';
import { sentencePieceFiles } from '../../unit/controller/gateway/tokenizer-fixtures.ts';

interface Case {
  readonly template: string;
  readonly name: string;
  /** The text of a body. */
  readonly request: string;
  /** Null where transformers refuses it. */
  readonly expected: string | null;
}

const folder = process.env['CONCLAVE_TEMPLATES'] ?? join(packageRoot, 'test/fixtures/templates');
const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as readonly Case[];
const templates = [...new Set(cases.map(({ template }) => template))];

async function prompt(text: TextModel, request: string): Promise<string | null> {
  const sent = new JsonBody(JSON.parse(request), request);
  try {
    return await text.renderChat(readChatInput(readBody(chatBody, sent), exactBody(sent)));
  } catch (error) {
    expect(error).toMatchObject({ code: 'INVALID_REQUEST' });
    return null;
  }
}

/** gpt-oss' template shows the date. */
function dateless(prompted: string | null): string | null {
  return prompted?.replace(/(Current date: )\S+/, '$1today') ?? null;
}

describe('conversations with tools', () => {
  it('come with ten templates and more', () => {
    expect(templates.length).toBeGreaterThanOrEqual(10);
  });

  it.each(templates)('are rendered by %s as transformers renders them', async (template) => {
    const chatTemplate = readFileSync(join(folder, `${template}.jinja`), 'utf8');
    const text = await createTextModel({ ...sentencePieceFiles(), chatTemplate });
    try {
      const different: object[] = [];
      for (const { name, request, expected } of cases.filter((each) => each.template === template)) {
        const got = await prompt(text, request);
        if (dateless(got) !== dateless(expected)) different.push({ name, expected, got });
      }
      expect(different).toEqual([]);
    } finally {
      await text.close();
    }
  });
});
