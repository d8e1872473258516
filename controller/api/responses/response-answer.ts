/** Answers of /v1/responses: one document, or the events of a stream. */
import type { Progress } from '../../gateway/inference.ts';
import type { Finish } from '../../text/sequence-text.ts';
import type { AnswerHead, WholeAnswer } from '../answers/answer.ts';
import type { EventStream } from '../answers/event-stream.ts';
import { chatLogprob, type TokenNames } from '../answers/logprobs.ts';
import type { UsageCounter } from '../answers/usage.ts';
import type { ChoiceReaders } from '../chat/choice-reader.ts';
import type { ResponseBody } from './response-body.ts';
import { type OutputItem, ResponseOutput } from './response-output.ts';

export interface ResponseOptions {
  readonly body: ResponseBody;
  readonly promptTokens: number;
  readonly readers: ChoiceReaders;
  /** How tokens are named in log-probabilities; null: there are none. */
  readonly names: TokenNames | null;
  /** Takes the response when it is whole. */
  readonly keep: (response: Response) => void;
}

export interface Response extends Record<string, unknown> {
  readonly id: string;
  readonly output: readonly OutputItem[];
}

export class ResponseAnswer implements WholeAnswer {
  readonly usage: UsageCounter;
  readonly #head: AnswerHead;
  readonly #options: ResponseOptions;
  /** Null: the answer is one document. */
  readonly #events: EventStream | null;
  readonly #output: ResponseOutput;
  #sequence = 0;
  #finish: Finish | null = null;

  constructor(head: AnswerHead, events: EventStream | null, usage: UsageCounter, options: ResponseOptions) {
    this.#head = head;
    this.#events = events;
    this.usage = usage;
    this.#options = options;
    this.#output = new ResponseOutput((type, members) => this.#emit(type, members));
  }

  add(_prompt: number, progress: Progress): void | Promise<void> {
    const { readers, promptTokens, names } = this.#options;
    const { piece } = progress;
    this.usage.add(promptTokens, progress);
    this.#begin();
    let logprobs = names === null ? [] : piece.logprobs.map((scored) => chatLogprob(names, scored));
    for (const part of readers.read(piece)) {
      this.#output.write(part, logprobs);
      if (part.kind === 'content') logprobs = [];
    }
    this.#finish = piece.finish;
    return this.#events?.slow;
  }

  /** A stream's first events: when something comes, so that a refusal before has a status of its own. */
  #begin(): void {
    if (this.#sequence > 0 || this.#events === null) return;
    for (const type of ['response.created', 'response.in_progress']) {
      this.#emit(type, { response: this.#response('in_progress', null) });
    }
  }

  end(): void {
    const response = this.#end();
    this.#emit(`response.${String(response['status'])}`, { response });
    this.#events?.close();
  }

  toJSON(): object {
    return this.#end();
  }

  #end(): Response {
    const status = this.#finish?.reason === 'length' ? 'incomplete' : 'completed';
    this.#output.end(status);
    const response = this.#response(status, this.usage);
    this.#options.keep(response);
    return response;
  }

  #response(status: string, usage: UsageCounter | null): Response {
    const { body } = this.#options;
    return {
      id: this.#head.id,
      object: 'response',
      created_at: this.#head.created,
      status,
      background: false,
      error: null,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      instructions: body.instructions ?? null,
      max_output_tokens: body.max_output_tokens ?? null,
      metadata: body.metadata ?? {},
      model: this.#head.model,
      output: [...this.#output.items],
      parallel_tool_calls: body.parallel_tool_calls ?? true,
      previous_response_id: body.previous_response_id ?? null,
      reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
      store: body.store ?? true,
      temperature: body.temperature ?? 1,
      text: { format: body.text?.format ?? { type: 'text' } },
      tool_choice: body.tool_choice ?? 'auto',
      tools: body.tools ?? [],
      top_logprobs: body.top_logprobs ?? 0,
      top_p: body.top_p ?? 1,
      truncation: 'disabled',
      usage: usage === null ? null : usageOf(usage, this.#options.readers.reasoningTokens),
      user: body.user ?? null,
    };
  }

  #emit(type: string, members: object): void {
    this.#events?.write(JSON.stringify({ type, sequence_number: this.#sequence++, ...members }), type);
  }
}

function usageOf({ prompt, cached, completion }: UsageCounter, reasoning: number): object {
  return {
    input_tokens: prompt,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: completion,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: prompt + completion,
  };
}
