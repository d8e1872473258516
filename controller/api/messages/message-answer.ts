/**
 * Answers of /v1/messages: what the model says becomes content blocks, in one document or as the events of a stream.
 */
import type { Progress } from '../../gateway/inference.ts';
import { JoinedPiece } from '../../gateway/piece.ts';
import type { AnswerPart } from '../../text/answer/answer-part.ts';
import type { Finish } from '../../text/sequence-text.ts';
import type { Answer, AnswerHead, WholeAnswer } from '../answers/answer.ts';
import type { EventStream } from '../answers/event-stream.ts';
import type { UsageCounter } from '../answers/usage.ts';
import type { ChoiceReaders } from '../chat/choice-reader.ts';

export interface MessageOptions {
  readonly promptTokens: number;
  readonly readers: ChoiceReaders;
}

/** Tokens that were in the cache are not counted as input a second time. */
function usageOf({ prompt, cached, completion }: UsageCounter): object {
  return {
    input_tokens: prompt - cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: completion,
  };
}

function ending(finish: Finish | null, calls: boolean): { stop_reason: string | null; stop_sequence: string | null } {
  if (finish === null) return { stop_reason: null, stop_sequence: null };
  if (typeof finish.stop === 'string') return { stop_reason: 'stop_sequence', stop_sequence: finish.stop };
  const reason = finish.reason === 'length' ? 'max_tokens' : calls ? 'tool_use' : 'end_turn';
  return { stop_reason: reason, stop_sequence: null };
}

function messageHead({ id, model }: AnswerHead): object {
  return { id, type: 'message', role: 'assistant', model };
}

/** Gathers one document. */
export class MessageDocument implements WholeAnswer {
  readonly usage: UsageCounter;
  readonly #head: AnswerHead;
  readonly #options: MessageOptions;
  readonly #said = new JoinedPiece(0);

  constructor(head: AnswerHead, usage: UsageCounter, options: MessageOptions) {
    this.#head = head;
    this.usage = usage;
    this.#options = options;
  }

  add(_prompt: number, progress: Progress): void {
    this.usage.add(this.#options.promptTokens, progress);
    this.#said.add(progress.piece);
  }

  toJSON(): object {
    const { readers } = this.#options;
    const content = blocksOf(readers.read(this.#said));
    return {
      ...messageHead(this.#head),
      content,
      ...ending(this.#said.finish, readers.calls(0)),
      usage: usageOf(this.usage),
    };
  }
}

function blocksOf(parts: readonly AnswerPart[]): object[] {
  const written = (index: number): string =>
    parts.map((part) => (part.kind === 'arguments' && part.index === index ? part.text : '')).join('');
  return parts.flatMap((part): object[] => {
    if (part.kind === 'arguments') return [];
    if (part.kind === 'content') return [{ type: 'text', text: part.text, citations: null }];
    if (part.kind === 'reasoning') return [{ type: 'thinking', thinking: part.text, signature: '' }];
    return [{ type: 'tool_use', id: part.id, name: part.name, input: objectOf(written(part.index)) }];
  });
}

/** Arguments that end in the middle, as tokens ran out, are none. */
function objectOf(text: string): unknown {
  try {
    return JSON.parse(text === '' ? '{}' : text);
  } catch {
    return {};
  }
}

/** Streams events. One block is open at a time. */
export class MessageStream implements Answer {
  readonly usage: UsageCounter;
  readonly #head: AnswerHead;
  readonly #events: EventStream;
  readonly #options: MessageOptions;
  #begun = false;
  #finish: Finish | null = null;
  /** The open block, and how many there were. */
  #open: string | null = null;
  #blocks = 0;

  constructor(head: AnswerHead, events: EventStream, usage: UsageCounter, options: MessageOptions) {
    this.#head = head;
    this.#events = events;
    this.usage = usage;
    this.#options = options;
  }

  add(_prompt: number, progress: Progress): void | Promise<void> {
    const { piece } = progress;
    this.usage.add(this.#options.promptTokens, progress);
    if (!this.#begun) this.#begin();
    for (const part of this.#options.readers.read(piece)) this.#write(part);
    this.#finish = piece.finish;
    return this.#events.slow;
  }

  end(): void {
    this.#closeBlock();
    const delta = ending(this.#finish, this.#options.readers.calls(0));
    this.#send('message_delta', { delta, usage: usageOf(this.usage) });
    this.#send('message_stop', {});
    this.#events.close();
  }

  #begin(): void {
    this.#begun = true;
    const message = { ...messageHead(this.#head), content: [], ...ending(null, false), usage: usageOf(this.usage) };
    this.#send('message_start', { message });
  }

  #write(part: AnswerPart): void {
    if (part.kind === 'tool-call') {
      this.#openBlock(`call ${part.index}`, { type: 'tool_use', id: part.id, name: part.name, input: {} });
    } else if (part.kind === 'arguments') {
      this.#delta({ type: 'input_json_delta', partial_json: part.text });
    } else if (part.kind === 'reasoning') {
      if (this.#open !== 'thinking') this.#openBlock('thinking', { type: 'thinking', thinking: '', signature: '' });
      this.#delta({ type: 'thinking_delta', thinking: part.text });
    } else {
      if (this.#open !== 'text') this.#openBlock('text', { type: 'text', text: '', citations: null });
      this.#delta({ type: 'text_delta', text: part.text });
    }
  }

  #openBlock(name: string, block: object): void {
    this.#closeBlock();
    this.#open = name;
    this.#send('content_block_start', { index: this.#blocks++, content_block: block });
  }

  #closeBlock(): void {
    if (this.#open !== null) this.#send('content_block_stop', { index: this.#blocks - 1 });
    this.#open = null;
  }

  #delta(delta: object): void {
    this.#send('content_block_delta', { index: this.#blocks - 1, delta });
  }

  #send(type: string, members: object): void {
    this.#events.write(JSON.stringify({ type, ...members }), type);
  }
}
