/**
 * Answers of /v1/chat/completions: pieces of text become chunks of a stream, or messages of one document.
 */
import type { GenerationConsumer, PromptResult } from '../gateway/inference.ts';
import type { Piece } from '../gateway/sequence-text.ts';
import type { Answer, AnswerHead, ChunkWriter, WholeAnswer } from './answer.ts';
import { chatLogprob, type TokenNames } from './logprobs.ts';
import type { UsageCounter } from './usage.ts';

export interface ChatAnswerOptions {
  readonly promptTokenIds: readonly number[];
  readonly names: TokenNames;
  readonly logprobs: boolean;
  readonly returnTokenIds: boolean;
}

/** Streams chunks. */
export class ChatStream implements Answer {
  readonly usage: UsageCounter;
  readonly #writer: ChunkWriter;
  readonly #options: ChatAnswerOptions;
  readonly #introduced = new Set<number>();

  constructor(writer: ChunkWriter, usage: UsageCounter, options: ChatAnswerOptions) {
    this.#writer = writer;
    this.usage = usage;
    this.#options = options;
  }

  consumer(): GenerationConsumer {
    return {
      onPrompt: (result) => recordPrompt(this.usage, this.#options, result),
      onPiece: (piece) => {
        this.#write(piece);
        return this.#writer.slow;
      },
    };
  }

  #write(piece: Piece): void {
    this.usage.addCompletion(piece.tokenIds.length);
    if (!this.#introduced.has(piece.index)) this.#introduce(piece.index);
    const { logprobs, returnTokenIds } = this.#options;
    if (piece.text === '' && piece.finish === null && !logprobs && !returnTokenIds) return;
    const delta = piece.text === '' ? '{}' : `{"content":${JSON.stringify(piece.text)}}`;
    const scores = logprobs ? JSON.stringify(chatLogprobs(this.#options.names, piece)) : 'null';
    const finish =
      piece.finish === null
        ? 'null'
        : `${JSON.stringify(piece.finish.reason)},"stop_reason":${JSON.stringify(piece.finish.stop)}`;
    const ids = returnTokenIds ? `,"token_ids":${JSON.stringify(piece.tokenIds)}` : '';
    this.#writer.write(
      `{"index":${piece.index},"delta":${delta},"logprobs":${scores},"finish_reason":${finish}${ids}}`,
    );
  }

  /** The first chunk of a choice names the role. */
  #introduce(index: number): void {
    const first = this.#introduced.size === 0 && this.#options.returnTokenIds;
    this.#introduced.add(index);
    const delta = '{"role":"assistant","content":""}';
    const prompt = first ? `,"prompt_token_ids":${JSON.stringify(this.#options.promptTokenIds)}` : '';
    this.#writer.write(`{"index":${index},"delta":${delta},"logprobs":null,"finish_reason":null}`, prompt);
  }
}

interface ChatChoice {
  text: string;
  readonly tokenIds: number[];
  readonly logprobs: object[];
  finish: Piece['finish'];
}

/** Gathers one document. */
export class ChatDocument implements WholeAnswer {
  readonly usage: UsageCounter;
  readonly #head: AnswerHead;
  readonly #options: ChatAnswerOptions;
  readonly #choices: ChatChoice[];

  constructor(head: AnswerHead, n: number, usage: UsageCounter, options: ChatAnswerOptions) {
    this.#head = head;
    this.usage = usage;
    this.#options = options;
    this.#choices = Array.from({ length: n }, () => ({ text: '', tokenIds: [], logprobs: [], finish: null }));
  }

  consumer(): GenerationConsumer {
    return {
      onPrompt: (result) => recordPrompt(this.usage, this.#options, result),
      onPiece: (piece) => this.#gather(piece),
    };
  }

  toJSON(): object {
    const { logprobs, returnTokenIds, promptTokenIds } = this.#options;
    return {
      id: this.#head.id,
      object: 'chat.completion',
      created: this.#head.created,
      model: this.#head.model,
      choices: this.#choices.map((choice, index) => ({
        index,
        message: { role: 'assistant', content: choice.text, refusal: null },
        logprobs: logprobs ? { content: choice.logprobs, refusal: null } : null,
        finish_reason: choice.finish?.reason ?? null,
        stop_reason: choice.finish?.stop ?? null,
        ...(returnTokenIds ? { token_ids: choice.tokenIds } : {}),
      })),
      usage: this.usage,
      system_fingerprint: this.#head.system_fingerprint,
      ...(returnTokenIds ? { prompt_token_ids: promptTokenIds } : {}),
    };
  }

  #gather(piece: Piece): void {
    this.usage.addCompletion(piece.tokenIds.length);
    const choice = this.#choices[piece.index] as ChatChoice;
    choice.text += piece.text;
    choice.finish = piece.finish;
    if (this.#options.returnTokenIds) choice.tokenIds.push(...piece.tokenIds);
    for (const scored of piece.logprobs) choice.logprobs.push(chatLogprob(this.#options.names, scored));
  }
}

function chatLogprobs(names: TokenNames, piece: Piece): object {
  return { content: piece.logprobs.map((scored) => chatLogprob(names, scored)), refusal: null };
}

function recordPrompt(usage: UsageCounter, options: ChatAnswerOptions, result: PromptResult): void {
  usage.addPrompt(options.promptTokenIds.length);
  usage.addCached(result.cachedTokens);
}
