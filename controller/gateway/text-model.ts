/**
 * Everything between text and tokens for one checkpoint: tokenizer, chat template, recommended sampling. Long inputs are
 * worked on beside the event loop (measured: about 1 ms per kilobyte of prompt).
 */
import { Template } from '@huggingface/jinja';
import { ServiceError } from '../errors.ts';
import { ModelError } from '../model/problems.ts';
import {
  type ChatInput,
  type ChatTemplates,
  openFinalMessage,
  readChatTemplates,
  templateFailure,
  templateFor,
  templateVariables,
} from './chat-template.ts';
import { readTextFiles, type TextFiles } from './checkpoint-files.ts';
import { readSamplingDefaults, type SamplingDefaults } from './sampling-defaults.ts';
import { type TextTask, TextTaskError, TextWorker } from './text-worker.ts';
import type { TokenTable } from './token-table.ts';
import { checkedIds, createTokenizer } from './tokenizer.ts';

export interface TextModel {
  readonly table: TokenTable;
  readonly samplingDefaults: SamplingDefaults;
  /** Why chat requests cannot be answered, as a sentence; null when they can. */
  readonly chatObstacle: string | null;
  /** Token ids of a text. Fails early when it cannot fit into `maxTokens`. The signal gives up a place in the queue. */
  encode(text: string, addSpecialTokens: boolean, maxTokens: number, signal?: AbortSignal | null): Promise<number[]>;
  /** The text of a conversation. Fails with INVALID_REQUEST when the template refuses it, UNSUPPORTED without one. */
  renderChat(input: ChatInput, signal?: AbortSignal | null): Promise<string>;
  close(): Promise<void>;
}

/** Inputs of more UTF-16 units or more messages than this go to the text thread. */
const inlineCharacters = 16_384;
const inlineMessages = 64;

/** Reads the tokenizer, templates and defaults beside a checkpoint. Throws a ModelError that names the file. */
export async function loadTextModel(directory: string): Promise<TextModel> {
  try {
    return createTextModel(await readTextFiles(directory));
  } catch (error) {
    throw new ModelError(directory, [(error as Error).message], 1, { cause: error });
  }
}

export function createTextModel(files: TextFiles): TextModel {
  const tokenizer = createTokenizer(files);
  const templates = tryReadChatTemplates(files);
  const compiled = new Map<string, Template>();
  const worker = new TextWorker({
    tokenizerPath: files.tokenizerPath,
    tokenizerConfig: files.tokenizerConfig,
    timeLimitMs: 20_000,
    maxWaiting: 64,
  });

  const render = async (
    source: string,
    variables: Readonly<Record<string, unknown>>,
    long: boolean,
    signal: AbortSignal | null,
  ): Promise<string> => {
    try {
      if (long) return String(await worker.run({ kind: 'render', template: source, variables }, signal));
      let template = compiled.get(source);
      if (template === undefined) compiled.set(source, (template = new Template(source)));
      return template.render({ ...variables });
    } catch (error) {
      if (error instanceof ServiceError) throw error;
      throw templateFailure((error as Error).message);
    }
  };

  return {
    table: tokenizer.table,
    samplingDefaults: readSamplingDefaults(files.generationConfig),
    chatObstacle: typeof templates === 'string' ? templates : null,
    async encode(text, addSpecialTokens, maxTokens, signal = null) {
      if (text.length > maxTokens * tokenizer.maxCharactersPerToken) {
        const message = `the text has ${text.length} characters, more than fit into ${maxTokens} tokens`;
        throw new ServiceError('CONTEXT_LENGTH_EXCEEDED', message);
      }
      if (text.length <= inlineCharacters) return tokenizer.encode(text, addSpecialTokens);
      const task: TextTask = { kind: 'encode', text, addSpecialTokens };
      try {
        return checkedIds((await worker.run(task, signal)) as (number | undefined)[]);
      } catch (error) {
        if (!(error instanceof TextTaskError)) throw error;
        throw new ServiceError('INTERNAL', 'the text could not be tokenised', { cause: error });
      }
    },
    async renderChat(input, signal = null) {
      if (typeof templates === 'string') throw new ServiceError('UNSUPPORTED', templates, { field: 'messages' });
      const variables = templateVariables(input, tokenizer.special.names);
      const long = input.messages.length > inlineMessages || longerThan(input, inlineCharacters);
      const rendered = await render(templateFor(templates, input), variables, long, signal);
      return input.continueFinalMessage ? openFinalMessage(rendered, input) : rendered;
    },
    close: () => worker.close(),
  };
}

/** The templates, or why there are none: text completions are served all the same. */
function tryReadChatTemplates(files: TextFiles): ChatTemplates | string {
  try {
    return readChatTemplates(files);
  } catch (error) {
    return (error as Error).message;
  }
}

/** Whether the strings and keys of a JSON value have more than `limit` UTF-16 units, or it has more than `limit` parts. */
function longerThan(value: unknown, limit: number): boolean {
  let left = limit;
  const queue: unknown[] = [value];
  while (queue.length > 0 && left >= 0) {
    const part = queue.pop();
    left -= typeof part === 'string' ? part.length : 1;
    if (typeof part !== 'object' || part === null) continue;
    if (Array.isArray(part)) for (const item of part) queue.push(item);
    else for (const [key, item] of Object.entries(part)) queue.push(key, item);
  }
  return left < 0;
}
