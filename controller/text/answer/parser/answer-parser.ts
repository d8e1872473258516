/** Reads a model's answer: what it thinks, what it says, which tools it calls. */
import { randomBytes, randomInt } from 'node:crypto';
import type { AnswerParser, AnswerPart } from '../answer-part.ts';
import { HarmonyParser } from '../harmony/harmony-parser.ts';
import { beginsInside } from '../reasoning/reasoning-format.ts';
import { ReasoningSplitter } from '../reasoning/reasoning-splitter.ts';
import { CallParser } from '../tool-calls/call-parser.ts';
import { ToolSchemas } from '../tool-calls/tool-schemas.ts';
import { type AnswerFormats, enforcedFormat } from './answer-formats.ts';

export interface AnswerContext {
  /** The request's tools; null where the answer is not searched for calls. */
  readonly tools: readonly unknown[] | null;
  /** Whether parts are sent as they come, or the answer is one document. */
  readonly streamed: boolean;
  /** Whether calls are demanded of the model: then they are written in the format that is enforced. */
  readonly forced: boolean;
  /** Whether more than one call is wanted. */
  readonly parallel: boolean;
  /** The text that the model goes on from, as far as its end matters. */
  readonly prompt: string;
  /** The last message's text where the answer goes on with it. */
  readonly continued: string | null;
  /** Default: drawn at random. */
  readonly newId?: () => string;
}

/** A parser for one answer. */
export function answerParser(formats: AnswerFormats, context: AnswerContext): AnswerParser {
  const { tools, streamed, parallel, forced } = context;
  const format = forced ? enforcedFormat(formats) : formats.tools;
  const newId = context.newId ?? (formats.tools?.shortIds === true ? newShortId : newCallId);
  const calls = { streamed, parallel, newId };
  if (formats.harmony) {
    const inside = context.prompt.trimEnd().endsWith('<|channel|>analysis<|message|>');
    return new HarmonyAnswer(new HarmonyParser(inside, calls), formats.reasoningParser !== null);
  }
  const parser = tools === null || format === null ? null : new CallParser(format, new ToolSchemas(tools), calls);
  return new SplitAnswer(formats, parser, context);
}

class HarmonyAnswer implements AnswerParser {
  readonly #parser: HarmonyParser;
  readonly #split: boolean;
  reasoningTokens = 0;

  /** `split`: whether reasoning is separated from content. */
  constructor(parser: HarmonyParser, split: boolean) {
    this.#parser = parser;
    this.#split = split;
  }

  push(text: string, tokens: number): readonly AnswerPart[] {
    const parts = this.#parser.push(text);
    if (this.#split && this.#parser.inside && parts.length > 0) this.reasoningTokens += tokens;
    return this.#shown(parts);
  }

  end(): readonly AnswerPart[] {
    return this.#shown(this.#parser.end());
  }

  #shown(parts: readonly AnswerPart[]): readonly AnswerPart[] {
    if (this.#split) return parts;
    return parts.map((part) => (part.kind === 'reasoning' ? { kind: 'content', text: part.text } : part));
  }
}

class SplitAnswer implements AnswerParser {
  readonly #splitter: ReasoningSplitter | null;
  readonly #calls: CallParser | null;
  #parts: AnswerPart[] = [];
  reasoningTokens = 0;

  constructor({ reasoning }: AnswerFormats, calls: CallParser | null, { prompt, continued }: AnswerContext) {
    this.#calls = calls;
    this.#splitter =
      reasoning === null
        ? null
        : new ReasoningSplitter(reasoning, beginsInside(reasoning, prompt, continued), {
            reasoning: (text) => this.#parts.push({ kind: 'reasoning', text }),
            content: (text) => this.#content(text),
          });
  }

  push(text: string, tokens: number): readonly AnswerPart[] {
    if (this.#splitter === null) this.#content(text);
    else {
      const before = this.#splitter.inside;
      this.#splitter.push(text);
      if (before && this.#splitter.inside) this.reasoningTokens += tokens;
    }
    return this.#taken();
  }

  end(): readonly AnswerPart[] {
    this.#splitter?.end();
    if (this.#calls !== null) this.#parts.push(...this.#calls.end());
    return this.#taken();
  }

  #content(text: string): void {
    if (this.#calls !== null) this.#parts.push(...this.#calls.push(text));
    else if (text !== '') this.#parts.push({ kind: 'content', text });
  }

  #taken(): readonly AnswerPart[] {
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }
}

function newCallId(): string {
  return `call_${randomBytes(12).toString('hex')}`;
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function newShortId(): string {
  return Array.from({ length: 9 }, () => letters[randomInt(letters.length)]).join('');
}
