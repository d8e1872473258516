import type { Generation } from '../../gateway/inference.ts';
import type { Answer, WholeAnswer } from './answer.ts';
import type { EventStream } from './event-stream.ts';

/** A checked request: what to run, and how to answer. Exactly one of `document` and `stream` is used. */
export interface Plan {
  /** One per prompt. */
  readonly generations: readonly Generation[];
  readonly streamed: boolean;
  document(): WholeAnswer;
  stream(events: EventStream): { readonly answer: Answer; readonly end: () => void };
}
