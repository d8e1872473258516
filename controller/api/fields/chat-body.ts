/** The body of POST /v1/chat/completions. */
import { z } from 'zod';
import { unsupportedField } from '../../errors.ts';
import { chatInputFields } from './chat-messages.ts';
import { commonFields, maxLogprobs, maxTokensField } from './common-body.ts';
import { flag, integer, list, refused } from './schema.ts';

const none = 'is not supported';

export const chatBody = z.looseObject(
  {
    ...commonFields,
    ...chatInputFields,
    max_completion_tokens: maxTokensField,
    max_tokens: maxTokensField,
    logprobs: flag,
    top_logprobs: integer({ min: 0, max: maxLogprobs }),
    modalities: list(z.unknown(), 16).nullish(),
    audio: refused(`audio ${none}`),
    prediction: refused(none),
    web_search_options: refused(none),
    store: refused(none, false),
    echo: refused(`${none} for chat: use /v1/completions`, false),
  },
  'a JSON object',
);

export type ChatBody = z.output<typeof chatBody>;

export function refuseOtherModalities({ modalities }: ChatBody): void {
  if ((modalities ?? []).some((modality) => modality !== 'text')) {
    throw unsupportedField('modalities', 'only "text" is supported');
  }
}
