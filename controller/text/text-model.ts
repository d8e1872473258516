/**
 * Everything between text and tokens for one checkpoint: tokenizer, chat template, recommended sampling. Long texts are
 * tokenised beside the event loop (measured: about 1 ms per kilobyte of prompt), and all chat templates are rendered there.
 */

import type { SamplingValues } from '../../proto/sampling-parameters.ts';
import { ServiceError } from '../errors.ts';
import { readTextFiles, type TextFiles } from '../model/checkpoint/checkpoint-files.ts';
import type { EndToken } from '../model/compile.ts';
import { ModelError } from '../model/config/problems.ts';
import { readSamplingDefaults } from '../sampling/sampling-defaults.ts';
import {
  type ChatInput,
  type ChatTemplates,
  openFinalMessage,
  readChatTemplates,
  templateFailure,
  templateFor,
  templateVariables,
} from './chat-template.ts';
import { templateEnds, tokenizerEnds } from './end-tokens.ts';
import { type NamedTemplate, TemplateError, type TemplateProcess, templateProcess } from './template-process.ts';
import type { TokenTable } from './token-table.ts';
import { checkedIds, createTokenizer } from './tokenizer.ts';
import { tokenizerThread } from './tokenizer-thread.ts';

export interface TextModel {
  readonly table: TokenTable;
  readonly samplingDefaults: SamplingValues;
  /** Why chat requests cannot be answered, as a sentence; null when they can. */
  readonly chatObstacle: string | null;
  /** Tokens that the tokenizer and the chat templates end a sequence with. */
  readonly endTokens: readonly EndToken[];
  /** Token ids of a text. Fails early when it cannot fit into `maxTokens`. The signal gives up a place in the queue. */
  encode(text: string, addSpecialTokens: boolean, maxTokens: number, signal?: AbortSignal | null): Promise<number[]>;
  /** The text of a conversation. Fails with INVALID_REQUEST when the template refuses it, UNSUPPORTED without one. */
  renderChat(input: ChatInput, signal?: AbortSignal | null): Promise<string>;
  close(): Promise<void>;
}

/** Texts of more UTF-16 units than this go to the tokenizer thread. */
const inlineCharacters = 16_384;

/** Reads the tokenizer, templates and defaults beside a checkpoint. Throws a ModelError that names the file. */
export async function loadTextModel(directory: string): Promise<TextModel> {
  try {
    return await createTextModel(await readTextFiles(directory));
  } catch (error) {
    throw new ModelError(directory, [(error as Error).message], 1, { cause: error });
  }
}

export async function createTextModel(files: TextFiles): Promise<TextModel> {
  const tokenizer = createTokenizer(files);
  const samplingDefaults = readSamplingDefaults(files.generationConfig);
  const thread = tokenizerThread(files);
  const chat = await startChat(files);
  const endTokens = [
    ...tokenizerEnds(files, (token) => tokenizer.idOf(token)),
    ...(typeof chat === 'string' ? [] : await templateEnds(files, chat.all, tokenizer.special.names, chat.process)),
  ];
  return {
    table: tokenizer.table,
    samplingDefaults,
    endTokens,
    chatObstacle: typeof chat === 'string' ? chat : null,
    async encode(text, addSpecialTokens, maxTokens, signal = null) {
      if (text.length > maxTokens * tokenizer.maxCharactersPerToken) {
        const message = `the text has ${text.length} characters, more than fit into ${maxTokens} tokens`;
        throw new ServiceError('CONTEXT_LENGTH_EXCEEDED', message);
      }
      if (text.length <= inlineCharacters) return tokenizer.encode(text, addSpecialTokens);
      const answer = await thread.run({ text, addSpecialTokens }, signal);
      if ('result' in answer) return checkedIds(answer.result);
      throw new ServiceError('INTERNAL', 'the text could not be tokenised', { cause: new Error(answer.error) });
    },
    async renderChat(input, signal = null) {
      if (typeof chat === 'string') throw new ServiceError('UNSUPPORTED', chat, { field: 'messages' });
      const variables = templateVariables(input, tokenizer.special.names);
      const rendered = await chat.process.render(templateFor(chat.templates, input), variables, signal).catch(refusal);
      return input.continueFinalMessage ? openFinalMessage(rendered, input) : rendered;
    },
    async close() {
      await Promise.all([thread.close(), typeof chat === 'string' ? null : chat.process.close()]);
    },
  };
}

interface Chat {
  readonly templates: ChatTemplates;
  readonly all: readonly NamedTemplate[];
  readonly process: TemplateProcess;
}

/** The templates, or why there are none: text completions are served all the same. */
async function startChat(files: TextFiles): Promise<Chat | string> {
  let templates: ChatTemplates;
  try {
    templates = readChatTemplates(files);
  } catch (error) {
    return (error as Error).message;
  }
  const all = [templates.default, templates.toolUse].filter((template) => template !== null);
  const process = templateProcess(all);
  try {
    for (const template of all) await process.check(template);
    return { templates, all, process };
  } catch (error) {
    await process.close();
    const { message } = error as Error;
    return error instanceof TemplateError ? `the chat template of the model cannot be read: ${message}` : message;
  }
}

function refusal(error: unknown): never {
  throw error instanceof TemplateError ? templateFailure(error.message) : error;
}
