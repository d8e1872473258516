/**
 * Answers of /v1/completions: several prompts, each with n choices; prompts echoed and scored when asked for.
 */
import type { Progress, PromptResult } from '../../gateway/inference.ts';
import { JoinedPiece } from '../../gateway/piece.ts';
import type { Piece } from '../../text/sequence-text.ts';
import type { TokenTable } from '../../text/token-table.ts';
import type { Answer, AnswerHead, ChunkWriter, WholeAnswer } from '../answers/answer.ts';
import { bestChoices } from '../answers/best-of.ts';
import { promptLogprobs, TextLogprobs, type TokenNames } from '../answers/logprobs.ts';
import type { UsageCounter } from '../answers/usage.ts';
import type { Prompt } from '../fields/prompts.ts';
import { type Echo, echoOf } from './echo.ts';

export interface TextAnswerOptions {
  readonly prompts: readonly Prompt[];
  /** Choices of each prompt that are answered, and of how many they are the best. */
  readonly n: number;
  readonly candidates: number;
  /** Alternatives in `prompt_logprobs`; null: none are asked for. */
  readonly promptLogprobs: number | null;
  readonly table: TokenTable;
  readonly names: TokenNames;
  readonly echo: boolean;
  /** Alternatives for each token; null: no log-probabilities. */
  readonly logprobs: number | null;
  readonly returnTokenIds: boolean;
  readonly skipSpecialTokens: boolean;
}

/** A choice as clients read it: from its begin, with the prompt where it is echoed, or a later part of it. */
function textChoice(
  options: TextAnswerOptions,
  prompt: number,
  index: number,
  echo: Echo,
  piece: Piece,
  begins: boolean,
): object {
  const { finish } = piece;
  const promptTokenIds = options.prompts[prompt]?.tokenIds;
  return {
    index: prompt * options.n + index,
    text: begins ? echo.text + piece.text : piece.text,
    logprobs: options.logprobs !== null ? scores(options.names, echo, piece, begins) : null,
    finish_reason: finish?.reason ?? null,
    stop_reason: finish?.stop ?? null,
    ...(options.returnTokenIds
      ? { token_ids: piece.tokenIds, ...(begins ? { prompt_token_ids: promptTokenIds } : {}) }
      : {}),
  };
}

function scores(names: TokenNames, echo: Echo, piece: Piece, begins: boolean): TextLogprobs {
  const list = new TextLogprobs();
  if (begins) for (const { id, offset, scored } of echo.tokens) list.add(names, id, offset, scored);
  piece.tokenIds.forEach((id, i) => {
    list.add(names, id, echo.length + (piece.textOffsets[i] ?? 0), piece.logprobs[i] ?? null);
  });
  return list;
}

/** The same as JSON, written at once for what most chunks are: a text in the middle of a choice. */
function plainChoice({ text, tokenIds }: Piece, index: number, returnTokenIds: boolean): string {
  const ids = returnTokenIds ? `,"token_ids":[${tokenIds.join(',')}]` : '';
  return `{"index":${index},"text":${JSON.stringify(text)},"logprobs":null,"finish_reason":null,"stop_reason":null${ids}}`;
}

/** Streams chunks. */
export class TextStream implements Answer {
  readonly usage: UsageCounter;
  readonly #writer: ChunkWriter;
  readonly #options: TextAnswerOptions;
  readonly #echoes = new Map<number, Echo>();
  /** Choices that have begun. */
  readonly #begun = new Set<number>();

  constructor(writer: ChunkWriter, usage: UsageCounter, options: TextAnswerOptions) {
    this.#writer = writer;
    this.usage = usage;
    this.#options = options;
  }

  add(prompt: number, progress: Progress): void | Promise<void> {
    const { prompts, n, logprobs, returnTokenIds } = this.#options;
    const { piece } = progress;
    this.usage.add(prompts[prompt]?.tokenIds.length ?? 0, progress);
    if (progress.prompt !== null) this.#echoes.set(prompt, echoOf(this.#options, prompt, progress.prompt));
    const choice = prompt * n + piece.index;
    const begins = !this.#begun.has(choice);
    if (!begins && piece.finish === null && logprobs === null) {
      if (piece.text === '' && !returnTokenIds) return undefined;
      this.#writer.write(plainChoice(piece, choice, returnTokenIds));
    } else {
      this.#begun.add(choice);
      const echo = this.#echoes.get(prompt) as Echo;
      this.#writer.write(JSON.stringify(textChoice(this.#options, prompt, piece.index, echo, piece, begins)));
    }
    return this.#writer.slow;
  }
}

/** Gathers one document. */
export class TextDocument implements WholeAnswer {
  readonly usage: UsageCounter;
  readonly #head: AnswerHead;
  readonly #options: TextAnswerOptions;
  /** [prompts][n]. */
  readonly #choices: readonly (readonly JoinedPiece[])[];
  readonly #echoes = new Map<number, Echo>();
  readonly #scores = new Map<number, readonly (object | null)[]>();

  constructor(head: AnswerHead, usage: UsageCounter, options: TextAnswerOptions) {
    this.#head = head;
    this.usage = usage;
    this.#options = options;
    this.#choices = options.prompts.map(() =>
      Array.from({ length: options.candidates }, (_, index) => new JoinedPiece(index)),
    );
  }

  add(prompt: number, progress: Progress): void {
    this.usage.add(this.#options.prompts[prompt]?.tokenIds.length ?? 0, progress);
    if (progress.prompt !== null) this.#addPrompt(prompt, progress.prompt);
    this.#choices[prompt]?.[progress.piece.index]?.add(progress.piece);
  }

  #addPrompt(prompt: number, result: PromptResult): void {
    const { prompts, names, promptLogprobs: alternatives } = this.#options;
    this.#echoes.set(prompt, echoOf(this.#options, prompt, result));
    if (alternatives === null) return;
    const { tokenIds } = prompts[prompt] as Prompt;
    this.#scores.set(prompt, promptLogprobs(names, tokenIds, result.promptLogprobs, alternatives));
  }

  toJSON(): object {
    return {
      id: this.#head.id,
      object: 'text_completion',
      created: this.#head.created,
      model: this.#head.model,
      choices: this.#choices.flatMap((choices, prompt) => {
        const echo = this.#echoes.get(prompt) as Echo;
        const scores = this.#scores.get(prompt);
        return bestChoices(choices, this.#options.n).map((choice, index) => ({
          ...textChoice(this.#options, prompt, index, echo, choice, true),
          ...(scores === undefined ? {} : { prompt_logprobs: scores }),
        }));
      }),
      usage: this.usage,
      system_fingerprint: this.#head.system_fingerprint,
    };
  }
}
