/**
 * Answers of /v1/chat/completions: what choices say becomes chunks of a stream, or messages of one document.
 */
import type { Progress } from '../../gateway/inference.ts';
import { JoinedPiece } from '../../gateway/piece.ts';
import type { AnswerPart } from '../../text/answer/answer-part.ts';
import type { Piece } from '../../text/sequence-text.ts';
import type { Answer, AnswerHead, ChunkWriter, WholeAnswer } from '../answers/answer.ts';
import { bestChoices } from '../answers/best-of.ts';
import { chatLogprob, promptLogprobs, type TokenNames } from '../answers/logprobs.ts';
import type { UsageCounter } from '../answers/usage.ts';
import type { ChoiceReaders } from './choice-reader.ts';
import { deltaOf, messageOf, textMembers } from './message.ts';

export interface ChatAnswerOptions {
  readonly promptTokenIds: readonly number[];
  readonly names: TokenNames;
  readonly logprobs: boolean;
  readonly returnTokenIds: boolean;
  readonly readers: ChoiceReaders;
  /** Choices that are answered, and of how many they are the best. */
  readonly n: number;
  readonly candidates: number;
  /** Alternatives in `prompt_logprobs`; null: none are asked for. */
  readonly promptLogprobs: number | null;
}

/** A choice as clients read it, with what it says: a part of it, in a chunk, or the whole of it, in a document. */
function chatChoice(options: ChatAnswerOptions, piece: Piece, said: object, whole: boolean): object {
  const { index, finish } = piece;
  const calls = finish?.reason === 'stop' && options.readers.calls(index);
  return {
    index,
    ...said,
    logprobs: options.logprobs
      ? { content: piece.logprobs.map((scored) => chatLogprob(options.names, scored)), refusal: null }
      : null,
    finish_reason: calls ? 'tool_calls' : (finish?.reason ?? null),
    ...(whole || finish !== null ? { stop_reason: finish?.stop ?? null } : {}),
    ...(options.returnTokenIds ? { token_ids: piece.tokenIds } : {}),
  };
}

/** The same as JSON, written at once for what most chunks are: one text in the middle of a choice; null for others. */
function plainChoice(options: ChatAnswerOptions, piece: Piece, [part, ...more]: readonly AnswerPart[]): string | null {
  if (piece.finish !== null || options.logprobs || more.length > 0) return null;
  const delta = part === undefined ? '' : textMembers(part);
  if (delta === null) return null;
  const ids = options.returnTokenIds ? `,"token_ids":[${piece.tokenIds.join(',')}]` : '';
  return `{"index":${piece.index},"delta":{${delta}},"logprobs":null,"finish_reason":null${ids}}`;
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

  add(_prompt: number, progress: Progress): void | Promise<void> {
    const { piece } = progress;
    const { promptTokenIds, logprobs, returnTokenIds, readers } = this.#options;
    this.usage.add(promptTokenIds.length, progress);
    if (!this.#introduced.has(piece.index)) this.#introduce(piece.index);
    const parts = readers.read(piece);
    if (parts.length > 0 || piece.finish !== null || logprobs || returnTokenIds) {
      this.#writer.write(
        plainChoice(this.#options, piece, parts) ??
          JSON.stringify(chatChoice(this.#options, piece, { delta: deltaOf(parts) }, false)),
      );
    }
    return this.#writer.slow;
  }

  /** The first chunk of a choice names the role. */
  #introduce(index: number): void {
    const first = this.#introduced.size === 0 && this.#options.returnTokenIds;
    this.#introduced.add(index);
    const delta = { role: 'assistant', content: '' };
    const prompt = first ? `"prompt_token_ids":${JSON.stringify(this.#options.promptTokenIds)}` : '';
    this.#writer.write(JSON.stringify({ index, delta, logprobs: null, finish_reason: null }), prompt);
  }
}

/** Gathers one document. */
export class ChatDocument implements WholeAnswer {
  readonly usage: UsageCounter;
  readonly #head: AnswerHead;
  readonly #options: ChatAnswerOptions;
  readonly #choices: readonly JoinedPiece[];
  #scores: readonly (object | null)[] | null = null;
  readonly #said: readonly AnswerPart[][];

  constructor(head: AnswerHead, usage: UsageCounter, options: ChatAnswerOptions) {
    this.#head = head;
    this.usage = usage;
    this.#options = options;
    this.#choices = Array.from({ length: options.candidates }, (_, index) => new JoinedPiece(index));
    this.#said = this.#choices.map(() => []);
  }

  add(_prompt: number, progress: Progress): void {
    const { promptTokenIds, names, promptLogprobs: alternatives, readers } = this.#options;
    this.usage.add(promptTokenIds.length, progress);
    if (alternatives !== null && progress.prompt !== null) {
      this.#scores = promptLogprobs(names, promptTokenIds, progress.prompt.promptLogprobs, alternatives);
    }
    const { piece } = progress;
    this.#choices[piece.index]?.add(piece);
    this.#said[piece.index]?.push(...readers.read(piece));
  }

  toJSON(): object {
    const { returnTokenIds, promptTokenIds, n } = this.#options;
    return {
      id: this.#head.id,
      object: 'chat.completion',
      created: this.#head.created,
      model: this.#head.model,
      choices: bestChoices(this.#choices, n).map((choice, index) => ({
        ...chatChoice(this.#options, choice, { message: messageOf(this.#said[choice.index] ?? []) }, true),
        index,
      })),
      usage: this.usage,
      system_fingerprint: this.#head.system_fingerprint,
      ...(this.#scores === null ? {} : { prompt_logprobs: this.#scores }),
      ...(returnTokenIds ? { prompt_token_ids: promptTokenIds } : {}),
    };
  }
}
