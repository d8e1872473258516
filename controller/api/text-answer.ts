/**
 * Answers of /v1/completions: several prompts, each with n choices; prompts echoed and scored when asked for.
 */
import { Detokenizer, detokenize } from '../gateway/detokenizer.ts';
import type { GenerationConsumer, PromptResult } from '../gateway/inference.ts';
import { codePoints, type Piece } from '../gateway/sequence-text.ts';
import type { TokenTable } from '../gateway/token-table.ts';
import type { Answer, AnswerHead, ChunkWriter, WholeAnswer } from './answer.ts';
import { TextLogprobs, type TokenNames } from './logprobs.ts';
import type { Prompt } from './prompts.ts';
import type { UsageCounter } from './usage.ts';

export interface TextAnswerOptions {
  readonly prompts: readonly Prompt[];
  readonly n: number;
  readonly table: TokenTable;
  readonly names: TokenNames;
  readonly echo: boolean;
  readonly logprobs: boolean;
  readonly returnTokenIds: boolean;
  readonly skipSpecialTokens: boolean;
}

/** What comes before the pieces of every choice of a prompt: its text and scores when echoed. */
interface Opening {
  readonly text: string;
  readonly length: number;
  readonly logprobs: TextLogprobs | null;
}

/** Streams chunks. */
export class TextStream implements Answer {
  readonly usage: UsageCounter;
  readonly #writer: ChunkWriter;
  readonly #options: TextAnswerOptions;

  constructor(writer: ChunkWriter, usage: UsageCounter, options: TextAnswerOptions) {
    this.#writer = writer;
    this.usage = usage;
    this.#options = options;
  }

  consumer(prompt: number): GenerationConsumer {
    const { n, names, echo, logprobs, returnTokenIds } = this.#options;
    const begun = new Set<number>();
    let result: PromptResult | null = null;
    let promptLength = 0;
    return {
      onPrompt: (received) => {
        recordPrompt(this.usage, this.#options, prompt, received);
        result = received;
      },
      onPiece: (piece) => {
        this.usage.addCompletion(piece.tokenIds.length);
        const first = !begun.has(piece.index);
        if (!first && piece.text === '' && piece.finish === null && !logprobs && !returnTokenIds) return undefined;
        begun.add(piece.index);
        const opening = first && echo && result !== null ? open(this.#options, prompt, result) : null;
        promptLength = opening?.length ?? promptLength;
        const scores = logprobs ? addPiece(opening?.logprobs ?? new TextLogprobs(), names, promptLength, piece) : null;
        const finish = piece.finish;
        const tokens = returnTokenIds
          ? `,"token_ids":${JSON.stringify(piece.tokenIds)}` +
            (first ? `,"prompt_token_ids":${JSON.stringify(this.#options.prompts[prompt]?.tokenIds)}` : '')
          : '';
        this.#writer.write(
          `{"index":${prompt * n + piece.index},"text":${JSON.stringify((opening?.text ?? '') + piece.text)}` +
            `,"logprobs":${JSON.stringify(scores)},"finish_reason":${JSON.stringify(finish?.reason ?? null)}` +
            `,"stop_reason":${JSON.stringify(finish?.stop ?? null)}${tokens}}`,
        );
        return this.#writer.slow;
      },
    };
  }
}

interface TextChoice {
  text: string;
  logprobs: TextLogprobs | null;
  readonly tokenIds: number[];
  finish: Piece['finish'];
}

/** Gathers one document. */
export class TextDocument implements WholeAnswer {
  readonly usage: UsageCounter;
  readonly #head: AnswerHead;
  readonly #options: TextAnswerOptions;
  readonly #choices: TextChoice[];

  constructor(head: AnswerHead, usage: UsageCounter, options: TextAnswerOptions) {
    this.#head = head;
    this.usage = usage;
    this.#options = options;
    this.#choices = Array.from({ length: options.prompts.length * options.n }, () => ({
      text: '',
      logprobs: null,
      tokenIds: [],
      finish: null,
    }));
  }

  consumer(prompt: number): GenerationConsumer {
    const { n, logprobs, names, returnTokenIds } = this.#options;
    let promptLength = 0;
    return {
      onPrompt: (result) => {
        recordPrompt(this.usage, this.#options, prompt, result);
        for (let index = 0; index < n; index++) {
          const opening = open(this.#options, prompt, result);
          const choice = this.#choices[prompt * n + index] as TextChoice;
          choice.text = opening.text;
          choice.logprobs = opening.logprobs;
          promptLength = opening.length;
        }
      },
      onPiece: (piece) => {
        this.usage.addCompletion(piece.tokenIds.length);
        const choice = this.#choices[prompt * n + piece.index] as TextChoice;
        choice.text += piece.text;
        choice.finish = piece.finish;
        if (logprobs) choice.logprobs = addPiece(choice.logprobs ?? new TextLogprobs(), names, promptLength, piece);
        if (returnTokenIds) choice.tokenIds.push(...piece.tokenIds);
      },
    };
  }

  toJSON(): object {
    const { n, prompts, returnTokenIds } = this.#options;
    return {
      id: this.#head.id,
      object: 'text_completion',
      created: this.#head.created,
      model: this.#head.model,
      choices: this.#choices.map((choice, index) => ({
        index,
        text: choice.text,
        logprobs: choice.logprobs,
        finish_reason: choice.finish?.reason ?? null,
        stop_reason: choice.finish?.stop ?? null,
        ...(returnTokenIds
          ? { token_ids: choice.tokenIds, prompt_token_ids: prompts[Math.floor(index / n)]?.tokenIds }
          : {}),
      })),
      usage: this.usage,
      system_fingerprint: this.#head.system_fingerprint,
    };
  }
}

function recordPrompt(usage: UsageCounter, options: TextAnswerOptions, prompt: number, result: PromptResult): void {
  usage.addPrompt(options.prompts[prompt]?.tokenIds.length ?? 0);
  usage.addCached(result.cachedTokens);
}

function open(options: TextAnswerOptions, prompt: number, result: PromptResult): Opening {
  const { tokenIds, text } = options.prompts[prompt] as Prompt;
  if (!options.echo) return { text: '', length: 0, logprobs: null };
  const echoed = text ?? detokenize(options.table, tokenIds, options.skipSpecialTokens);
  const length = codePoints(echoed);
  if (!options.logprobs) return { text: echoed, length, logprobs: null };
  const logprobs = new TextLogprobs();
  const offsets = promptOffsets(options, tokenIds, echoed);
  tokenIds.forEach((id, position) => {
    const scored = position === 0 ? null : (result.promptLogprobs[position] ?? null);
    logprobs.add(options.names, id, Math.min(offsets[position] as number, length), scored);
  });
  return { text: echoed, length, logprobs };
}

/** Where prompt tokens begin in the echoed text, which shows special tokens only if the client wrote them. */
function promptOffsets(options: TextAnswerOptions, tokenIds: readonly number[], echoed: string): readonly number[] {
  const skipSpecialTokens = detokenize(options.table, tokenIds, false) !== echoed;
  const detokenizer = new Detokenizer(options.table, { skipSpecialTokens });
  let length = 0;
  return tokenIds.map((id) => {
    const offset = length;
    length += codePoints(detokenizer.push(id));
    return offset;
  });
}

function addPiece(scores: TextLogprobs, names: TokenNames, promptLength: number, piece: Piece): TextLogprobs {
  piece.tokenIds.forEach((id, i) => {
    scores.add(names, id, promptLength + (piece.textOffsets[i] ?? 0), piece.logprobs[i] ?? null);
  });
  return scores;
}
