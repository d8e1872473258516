/**
 * Everything between text and tokens for one checkpoint: tokenizer, chat template, recommended sampling. Long texts are
 * tokenised beside the event loop (measured: about 1 ms per kilobyte of prompt), and all chat templates are rendered there.
 */

import type { Grammar } from '../../proto/messages.ts';
import type { SamplingValues } from '../../proto/sampling-parameters.ts';
import { ServiceError } from '../errors.ts';
import type { TextFiles } from '../model/checkpoint/checkpoint-files.ts';
import type { EndToken } from '../model/compile.ts';
import { ModelError } from '../model/config/problems.ts';
import { readTexts } from '../model/texts.ts';
import { readSamplingDefaults } from '../sampling/sampling-defaults.ts';
import {
  type AnswerFormats,
  answerFormats,
  marksOf,
  type ReasoningParserName,
  type ToolParserName,
} from './answer/parser/answer-formats.ts';
import {
  type ChatInput,
  type ChatTemplates,
  readChatTemplates,
  templateFailure,
  templateFor,
  templateVariables,
} from './chat/chat-template.ts';
import { cutAtMark, finalText, markFinalMessage } from './chat/open-final-message.ts';
import { plainTraits, type TemplateTraits, templateTraits } from './chat/template-traits.ts';
import { toTurns } from './chat/turns.ts';
import { ConstraintCompiler } from './constraint/constraint-compiler.ts';
import type { ConstraintSpec, Preamble } from './constraint/request/constraint-spec.ts';
import { templateEnds, tokenizerEnds } from './end-tokens.ts';
import {
  type NamedTemplate,
  TemplateError,
  type TemplateProcess,
  templateProcess,
} from './isolated/template-process.ts';
import { tokenizerThreads } from './isolated/tokenizer-thread.ts';
import { specialTexts, specialTokensIn } from './special-tokens.ts';
import type { TokenTable } from './token-table.ts';
import { checkedIds, createTokenizer } from './tokenizer.ts';

export interface TextModel {
  readonly table: TokenTable;
  readonly samplingDefaults: SamplingValues;
  /** Why chat requests cannot be answered, as a sentence; null when they can. */
  readonly chatObstacle: string | null;
  /** Tokens that the tokenizer and the chat templates end a sequence with. */
  readonly endTokens: readonly EndToken[];
  /** What clients that tokenise here must know of the tokenizer, in the names of tokenizer_config.json. */
  readonly tokenizerInfo: Readonly<Record<string, unknown>>;
  /** Special tokens by their texts. */
  readonly specialTokens: ReadonlyMap<string, number>;
  /** How answers to chats are read. */
  readonly answers: AnswerFormats;
  /** Special tokens that must be seen in an answer's text for it to be read. */
  answerTokens(withTools: boolean): ReadonlySet<number>;
  /** Token ids of a text. Fails early when it cannot fit into `maxTokens`. The signal gives up a place in the queue. */
  encode(text: string, addSpecialTokens: boolean, maxTokens: number, signal?: AbortSignal | null): Promise<number[]>;
  /** What a request asks of its answer, as a grammar; clients take turns. Fails with an error that names the field at fault. */
  compileConstraint(
    spec: ConstraintSpec,
    preamble: Preamble | null,
    signal?: AbortSignal | null,
    client?: string,
  ): Promise<Grammar>;
  /** The text of a conversation. Fails with INVALID_REQUEST when the template refuses it, UNSUPPORTED without one. */
  renderChat(input: ChatInput, signal?: AbortSignal | null): Promise<string>;
  close(): Promise<void>;
}

/** How answers are read, by name. */
export interface AnswerParsers {
  readonly toolCallParser: ToolParserName;
  readonly reasoningParser: ReasoningParserName;
}

const automatic: AnswerParsers = { toolCallParser: 'auto', reasoningParser: 'auto' };

/** Texts of more UTF-16 units than this go to the tokenizer threads. */
const inlineCharacters = 16_384;

/** Reads the tokenizer, templates and defaults beside a checkpoint, or of a GGUF file. Throws a ModelError that names the file. */
export async function loadTextModel(directory: string, parsers: AnswerParsers = automatic): Promise<TextModel> {
  try {
    return await createTextModel(await readTexts(directory), parsers);
  } catch (error) {
    throw new ModelError(directory, [(error as Error).message], 1, { cause: error });
  }
}

export async function createTextModel(files: TextFiles, parsers: AnswerParsers = automatic): Promise<TextModel> {
  const tokenizer = createTokenizer(files);
  const samplingDefaults = readSamplingDefaults(files.generationConfig);
  const threads = tokenizerThreads(files);
  const chat = await startChat(files, tokenizer.special.names);
  const specialTokens = specialTexts(files, tokenizer.special);
  const sources = typeof chat === 'string' ? [] : chat.all.map(({ source }) => source);
  const answers = answerFormats(sources, parsers.toolCallParser, parsers.reasoningParser);
  const answerTokens = [false, true].map((withTools) => specialTokensIn(marksOf(answers, withTools), specialTokens));
  const endTokens = [
    ...tokenizerEnds(files, (token) => tokenizer.idOf(token)),
    ...(typeof chat === 'string' ? [] : await templateEnds(files, chat.all, tokenizer.special.names, chat.process)),
  ];
  const constraints = new ConstraintCompiler();
  return {
    table: tokenizer.table,
    samplingDefaults,
    endTokens,
    tokenizerInfo: {
      tokenizer_class: files.tokenizerConfig['tokenizer_class'] ?? null,
      ...{ bos_token: null, eos_token: null, pad_token: null, ...tokenizer.special.names },
      chat_template: typeof chat === 'string' ? null : chat.templates.default.source,
    },
    specialTokens,
    answers,
    answerTokens: (withTools) => answerTokens[withTools ? 1 : 0] as ReadonlySet<number>,
    chatObstacle: typeof chat === 'string' ? chat : null,
    async encode(text, addSpecialTokens, maxTokens, signal = null) {
      if (text.length > maxTokens * tokenizer.maxCharactersPerToken) {
        const message = `the text has ${text.length} characters, more than fit into ${maxTokens} tokens`;
        throw new ServiceError('CONTEXT_LENGTH_EXCEEDED', message);
      }
      if (text.length <= inlineCharacters) return tokenizer.encode(text, addSpecialTokens);
      const answer = await threads.run({ text, addSpecialTokens }, signal);
      if ('result' in answer) return checkedIds(answer.result);
      throw new ServiceError('INTERNAL', 'the text could not be tokenised', { cause: new Error(answer.error) });
    },
    compileConstraint(spec, preamble, signal = null, client) {
      const texts = JSON.stringify([spec, preamble]);
      const tokens = [...specialTokens].filter(
        ([token]) => preamble?.kind === 'harmony' || texts.includes(JSON.stringify(token).slice(1, -1)),
      );
      return constraints.compile({ spec, preamble, tokens }, signal, client);
    },
    async renderChat(input, signal = null) {
      if (typeof chat === 'string') throw new ServiceError('UNSUPPORTED', chat, { field: 'messages' });
      const template = templateFor(chat.templates, input);
      const turns = toTurns(input.messages, chat.traits.get(template) ?? plainTraits);
      const shown = input.continueFinalMessage ? markFinalMessage(turns) : turns;
      const variables = within(() => templateVariables(input, shown, tokenizer.special.names));
      const rendered = await chat.process.render(template, variables, signal).catch(refusal);
      return input.continueFinalMessage ? cutAtMark(rendered, finalText(turns)) : rendered;
    },
    async close() {
      await Promise.all([constraints.close(), threads.close(), typeof chat === 'string' ? null : chat.process.close()]);
    },
  };
}

interface Chat {
  readonly templates: ChatTemplates;
  readonly all: readonly NamedTemplate[];
  readonly traits: ReadonlyMap<NamedTemplate, TemplateTraits>;
  readonly process: TemplateProcess;
}

/** The templates, or why there are none: text completions are served all the same. */
async function startChat(files: TextFiles, names: Readonly<Record<string, string>>): Promise<Chat | string> {
  let templates: ChatTemplates;
  try {
    templates = readChatTemplates(files);
  } catch (error) {
    return (error as Error).message;
  }
  const all = [templates.default, templates.toolUse].filter((template) => template !== null);
  const process = templateProcess(all);
  try {
    const traits = new Map<NamedTemplate, TemplateTraits>();
    for (const template of all) {
      await process.check(template);
      traits.set(template, await templateTraits(template, names, process).catch(() => plainTraits));
    }
    return { templates, all, traits, process };
  } catch (error) {
    await process.close();
    const { message } = error as Error;
    return error instanceof TemplateError ? `the chat template of the model cannot be read: ${message}` : message;
  }
}

/** A conversation may be nested more deeply than it can be written. */
function within<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof RangeError ? templateFailure('they are nested too deeply') : error;
  }
}

function refusal(error: unknown): never {
  throw error instanceof TemplateError ? templateFailure(error.message) : error;
}
