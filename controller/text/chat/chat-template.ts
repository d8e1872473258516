/**
 * Chat templates: which of a checkpoint's templates applies, and the variables it sees. They are rendered by a process of
 * their own (template-process.ts).
 */
import { ServiceError } from '../../errors.ts';
import { type TextFiles } from '../../model/checkpoint/checkpoint-files.ts';
import { isObject } from '../../model/config/json.ts';
import type { NamedTemplate } from '../isolated/template-process.ts';
import { type Json, membersOf, writeJson } from '../json/exact-json.ts';
import type { Turn } from './turns.ts';

export interface ChatInput {
  /** As clients send them, each with a role. */
  readonly messages: readonly Json[];
  /** Function definitions, passed through to the template. */
  readonly tools: readonly Json[] | null;
  readonly documents: readonly Json[] | null;
  readonly addGenerationPrompt: boolean;
  /** Leave the last message open, so that generation goes on with it. */
  readonly continueFinalMessage: boolean;
  /** More variables, as the template's author defines them. */
  readonly templateArguments: Json;
}

export interface ChatTemplates {
  readonly default: NamedTemplate;
  /** For conversations with tools; null when the default serves them too. */
  readonly toolUse: NamedTemplate | null;
}

/** Names that requests must not give new meanings to. */
export const reservedNames: ReadonlySet<string> = new Set([
  'messages',
  'tools',
  'documents',
  'add_generation_prompt',
  'raise_exception',
  'strftime_now',
  'range',
  'namespace',
  'dict',
  'cycler',
  'joiner',
]);

/** The longest template that is read, in UTF-16 units. The longest of known models have some 20,000. */
const longestTemplate = 2 ** 20;

/**
 * The templates of a checkpoint: `chat_template.jinja` and the files of `additional_chat_templates`, else those of
 * tokenizer_config.json. Throws, with a sentence for clients, when there is none.
 */
export function readChatTemplates(files: TextFiles): ChatTemplates {
  const found = (name: string, source: string): NamedTemplate => {
    if (source.length <= longestTemplate) return { name, source };
    throw new Error(`${name} has ${source.length} characters; at most ${longestTemplate} are read`);
  };
  const { chatTemplate, additionalChatTemplates } = files;
  const beside = additionalChatTemplates['tool_use'];
  const toolUseFile = beside === undefined ? null : found('additional_chat_templates/tool_use.jinja', beside);
  if (chatTemplate !== null) return { default: found('chat_template.jinja', chatTemplate), toolUse: toolUseFile };
  const place = 'tokenizer_config.json: chat_template';
  const configured = files.tokenizerConfig['chat_template'];
  if (typeof configured === 'string') return { default: found(place, configured), toolUse: toolUseFile };
  if (!Array.isArray(configured)) throw new Error('the model has no chat template: use /v1/completions');
  const named = new Map<string, NamedTemplate>();
  for (const entry of configured as readonly unknown[]) {
    if (!isObject(entry) || typeof entry['template'] !== 'string') continue;
    const name = String(entry['name']);
    named.set(name, found(`${place} "${name}"`, entry['template']));
  }
  const standard = named.get('default');
  if (standard === undefined) throw new Error('none of the chat templates of the model is named "default"');
  return { default: standard, toolUse: toolUseFile ?? named.get('tool_use') ?? null };
}

export function templateFor(templates: ChatTemplates, input: ChatInput): NamedTemplate {
  return input.tools !== null && templates.toolUse !== null ? templates.toolUse : templates.default;
}

/**
 * The variables of a template as JSON, as Hugging Face's `apply_chat_template` names them: `tools` and `documents` are None without
 * any.
 */
export function templateVariables(
  input: ChatInput,
  turns: readonly Turn[],
  specialTokens: Readonly<Record<string, string>>,
): string {
  const given = [...Object.entries(specialTokens), ...membersOf(input.templateArguments)];
  const { tools, documents, addGenerationPrompt } = input;
  const own = { messages: turns, tools, documents, add_generation_prompt: addGenerationPrompt };
  return writeJson(new Map<string, Json>([...given, ...Object.entries(own)]));
}

/** The error for a template that failed, most often because it raised an exception on purpose. */
export function templateFailure(message: string): ServiceError {
  return new ServiceError('INVALID_REQUEST', `the chat template refused the messages: ${message}`, {
    field: 'messages',
  });
}
