/** Leaves the last message of a conversation open, so that generation goes on with it; where it ends a mark shows, as in transformers. */
import { ServiceError } from '../../errors.ts';
import { type Json, memberOf } from '../json/exact-json.ts';
import type { Turn } from './turns.ts';

/** Ends with a blank, which shows whether the template trims content. */
const mark = 'CONCLAVE_CONTINUES_HERE ';

/** The text of the last message; of the last part where it has parts. Throws where there is none. */
export function finalText(turns: readonly Turn[]): string {
  const content = turns.at(-1)?.get('content');
  const text = Array.isArray(content) ? memberOf(content.at(-1) as Json, 'text') : content;
  if (typeof text !== 'string') throw refusal('it has no text');
  return text;
}

/** The conversation with a mark behind its last text. */
export function markFinalMessage(turns: readonly Turn[]): readonly Turn[] {
  const last = turns.at(-1) as Turn;
  const marked = `${finalText(turns)}${mark}`;
  const content = last.get('content');
  const changed = Array.isArray(content) ? [...content.slice(0, -1), { type: 'text', text: marked }] : marked;
  return [...turns.slice(0, -1), new Map(last).set('content', changed)];
}

/** Cuts a rendered conversation at the mark. `text`: of the last message. */
export function cutAtMark(rendered: string, text: string): string {
  const at = rendered.lastIndexOf(mark.trimEnd());
  if (at < 0 || !rendered.includes(text.trim())) throw refusal('the chat template does not render it as it is');
  const before = rendered.slice(0, at);
  return rendered.startsWith(mark, at) ? before : before.trimEnd();
}

function refusal(why: string): ServiceError {
  return new ServiceError('INVALID_REQUEST', `the last message cannot be continued: ${why}`, {
    field: 'continue_final_message',
  });
}
