/**
 * The output of a response as it comes: what the model says becomes items, each begun, filled and ended by events. A request that
 * is not streamed lets the events go by and takes the items.
 */
import { randomUUID } from 'node:crypto';
import type { AnswerPart } from '../../text/answer/answer-part.ts';

export type Emit = (type: string, members: object) => void;

/** An item that is being written. */
interface OpenItem {
  readonly kind: 'reasoning' | 'content' | 'call';
  readonly id: string;
  text: string;
  readonly logprobs: object[];
  /** The item so far, and as it is with its text. */
  readonly item: (status: string) => OutputItem;
}

export interface OutputItem extends Record<string, unknown> {
  readonly id: string;
  readonly type: string;
}

export class ResponseOutput {
  /** Items that are whole. */
  readonly items: OutputItem[] = [];
  readonly #emit: Emit;
  #open: OpenItem | null = null;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** `logprobs`: of the tokens that the part came with; they are shown with content. */
  write(part: AnswerPart, logprobs: readonly object[]): void {
    if (part.kind === 'tool-call') {
      this.#begin(callItem(part));
      return;
    }
    if (part.kind === 'arguments') {
      this.#grow('response.function_call_arguments.delta', part.text, {});
      return;
    }
    if (this.#open?.kind !== part.kind) this.#begin(part.kind === 'content' ? messageItem() : reasoningItem());
    if (part.kind === 'reasoning') {
      this.#grow('response.reasoning_text.delta', part.text, { content_index: 0 });
    } else {
      this.#open?.logprobs.push(...logprobs);
      this.#grow('response.output_text.delta', part.text, { content_index: 0, logprobs });
    }
  }

  /** `status`: "completed", or "incomplete" where tokens ran out. */
  end(status: string): void {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    const place = { item_id: open.id, output_index: this.items.length };
    const item = open.item(status);
    if (open.kind === 'call') {
      const { name, arguments: written } = item;
      this.#emit('response.function_call_arguments.done', { ...place, name, arguments: written });
    } else {
      const at = { ...place, content_index: 0 };
      const text = open.kind === 'content' ? { text: open.text, logprobs: open.logprobs } : { text: open.text };
      this.#emit(open.kind === 'content' ? 'response.output_text.done' : 'response.reasoning_text.done', {
        ...at,
        ...text,
      });
      this.#emit('response.content_part.done', { ...at, part: partOf(open) });
    }
    this.#emit('response.output_item.done', { output_index: place.output_index, item });
    this.items.push(item);
  }

  #begin(open: OpenItem): void {
    this.end('completed');
    this.#open = open;
    const place = { output_index: this.items.length };
    this.#emit('response.output_item.added', {
      ...place,
      item: { ...open.item('in_progress'), ...emptyContent(open) },
    });
    if (open.kind !== 'call') {
      this.#emit('response.content_part.added', { item_id: open.id, ...place, content_index: 0, part: partOf(open) });
    }
  }

  #grow(type: string, delta: string, members: object): void {
    const open = this.#open;
    if (open === null) return;
    open.text += delta;
    this.#emit(type, { item_id: open.id, output_index: this.items.length, ...members, delta });
  }
}

/** Content comes part by part. */
function emptyContent({ kind }: OpenItem): object {
  return kind === 'call' ? {} : { content: [] };
}

function partOf({ kind, text, logprobs }: OpenItem): object {
  return kind === 'content'
    ? { type: 'output_text', text, annotations: [], logprobs: [...logprobs] }
    : { type: 'reasoning_text', text };
}

function messageItem(): OpenItem {
  const id = `msg_${randomUUID()}`;
  const open: OpenItem = {
    ...{ kind: 'content', id, text: '', logprobs: [] },
    item: (status) => ({ id, type: 'message', status, role: 'assistant', content: [partOf(open)] }),
  };
  return open;
}

function reasoningItem(): OpenItem {
  const id = `rs_${randomUUID()}`;
  const open: OpenItem = {
    ...{ kind: 'reasoning', id, text: '', logprobs: [] },
    item: (status) => ({ id, type: 'reasoning', status, summary: [], content: [partOf(open)] }),
  };
  return open;
}

function callItem(call: Extract<AnswerPart, { kind: 'tool-call' }>): OpenItem {
  const id = `fc_${randomUUID()}`;
  const open: OpenItem = {
    ...{ kind: 'call', id, text: '', logprobs: [] },
    item: (status) => ({ id, type: 'function_call', status, call_id: call.id, name: call.name, arguments: open.text }),
  };
  return open;
}
