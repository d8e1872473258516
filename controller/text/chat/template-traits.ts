/**
 * What a chat template does with messages, found out by rendering short conversations: templates treat what is optional each in
 * its own way.
 */

import { type NamedTemplate, TemplateError, type TemplateProcess } from '../isolated/template-process.ts';
import { type Json, writeJson } from '../json/exact-json.ts';

export interface TemplateTraits {
  /** Whether it reads arguments of calls as an object, or as the text of one. */
  readonly arguments: 'object' | 'text';
  /** Whether it takes null for the content of a message that only calls tools. */
  readonly knowsNoContent: boolean;
  /** By role: `either` also reads parts, `parts` nothing else. A role that is missing is `text`. */
  readonly content: ReadonlyMap<string, 'text' | 'either' | 'parts'>;
  readonly knowsDeveloper: boolean;
  /** Whether ids of calls must have nine letters or digits. */
  readonly shortIds: boolean;
  /** Whether a message that calls tools may have both a text and reasoning. */
  readonly reasonsBesideText: boolean;
}

/** Of a template that cannot be asked. */
export const plainTraits: TemplateTraits = {
  arguments: 'object',
  knowsNoContent: false,
  content: new Map(),
  knowsDeveloper: false,
  shortIds: false,
  reasonsBesideText: true,
};

/** Words that no template has. */
const [question, answer, result, key, value] = [
  'conclave7ask',
  'conclave7say',
  'conclave7got',
  'conclave7key',
  'conclave7value',
];
const tool = 'conclave7tool';
/** One that all templates take, and one as clients have them. */
const [shortId, longId] = ['call00007', 'call_conclave7000000007'];
const tools = [
  {
    type: 'function',
    function: {
      name: tool,
      description: 'A tool.',
      parameters: {
        type: 'object',
        properties: { [key]: { type: 'string', description: 'A text.' } },
        required: [key],
      },
    },
  },
];

interface Probe {
  readonly system?: Json;
  readonly user?: Json;
  readonly assistant?: Json;
  readonly tool?: Json;
  /** Of the call; none: no tool is called. */
  readonly arguments?: Json;
  /** Of the message that calls. */
  readonly id?: string;
  readonly thinking?: string;
}

/** Fails where the template meets a limit. */
export async function templateTraits(
  template: NamedTemplate,
  names: Readonly<Record<string, string>>,
  process: TemplateProcess,
): Promise<TemplateTraits> {
  /** Null where the template fails. */
  const render = async (probe: Probe): Promise<string | null> => {
    const calls = probe.arguments !== undefined;
    const variables = { ...names, messages: conversation(probe), tools: calls ? tools : null, documents: null };
    const text = writeJson({ ...variables, add_generation_prompt: false });
    return process.render(template, text, null).catch((error: unknown) => {
      if (error instanceof TemplateError) return null;
      throw error;
    });
  };
  const form = await argumentsForm(render);
  const args = form === 'text' ? writeJson({ [key]: value }) : { [key]: value };
  const called = await render({ arguments: args, assistant: answer });
  const content = new Map<string, 'text' | 'either' | 'parts'>();
  for (const role of ['system', 'user', 'assistant', 'tool'] as const) {
    content.set(role, await contentForm(role, role === 'tool' ? { arguments: args } : {}, render));
  }
  return {
    arguments: form,
    knowsNoContent: await takesNull(args, render),
    content,
    knowsDeveloper: /['"]developer['"]/.test(template.source),
    shortIds: called !== null && (await render({ arguments: args, id: longId })) === null,
    reasonsBesideText:
      called === null || (await render({ arguments: args, assistant: answer, thinking: answer })) !== null,
  };
}

type Render = (probe: Probe) => Promise<string | null>;

function conversation(probe: Probe): readonly Json[] {
  const called = probe.arguments;
  const system: Json[] = probe.system === undefined ? [] : [{ role: 'system', content: probe.system }];
  const user = { role: 'user', content: probe.user ?? question };
  if (called === undefined) return [...system, user, { role: 'assistant', content: probe.assistant ?? answer }];
  const { id = shortId, thinking, assistant = '' } = probe;
  const thoughts = thinking === undefined ? {} : { thinking, reasoning_content: thinking };
  const call = { id, type: 'function', function: { name: tool, arguments: called } };
  return [
    ...[...system, user],
    { role: 'assistant', content: assistant, tool_calls: [call], ...thoughts },
    { role: 'tool', tool_call_id: id, name: tool, content: probe.tool ?? result },
  ];
}

/**
 * An object, where that is shown as JSON or in the template's own way, and not as Python shows a dictionary. Some templates show
 * calls only beside no content.
 */
async function argumentsForm(render: Render): Promise<'object' | 'text'> {
  for (const assistant of [null, '']) {
    const object = await render({ assistant, arguments: { [key]: value } });
    const without = await render({ assistant, arguments: {} });
    const shown = (word: string): boolean => occurrences(object, word) > occurrences(without, word);
    if (shown(key) && !shown(`'${key}'`)) return 'object';
    const text = await render({ assistant, arguments: writeJson({ [key]: value }) });
    if (text?.includes(writeJson({ [key]: value })) === true) return 'text';
  }
  return 'object';
}

function occurrences(text: string | null, word: string): number {
  return (text?.split(word).length ?? 1) - 1;
}

async function takesNull(args: Json, render: Render): Promise<boolean> {
  const empty = await render({ arguments: args });
  const none = await render({ arguments: args, assistant: null });
  return none !== null && occurrences(none, 'None') <= occurrences(empty, 'None');
}

/** Parts that it reads are shown as their texts alone. */
async function contentForm(
  role: 'system' | 'user' | 'assistant' | 'tool',
  base: Probe,
  render: Render,
): Promise<'text' | 'either' | 'parts'> {
  const [first, second] = ['conclave7one', 'conclave7two'];
  const parts = await render({ ...base, [role]: [first, second].map((text) => ({ type: 'text', text })) });
  const shows = parts?.includes(first) === true && parts.includes(second) && !/'type'|"type": ?"text"/.test(parts);
  if (!shows) return 'text';
  const text = await render({ ...base, [role]: first });
  return text?.includes(first) === true ? 'either' : 'parts';
}
