/** The bodies of POST /tokenize and /detokenize. */
import { z } from 'zod';
import { chatInputFields } from './chat-messages.ts';
import { flag, text, tokenIds } from './schema.ts';

/** Most tokens of one request, so that neither the work nor the answer grows without bound. */
export const mostTokens = 2 ** 20;

export const tokenizeBody = z.looseObject(
  {
    model: text,
    ...chatInputFields,
    messages: chatInputFields.messages.nullish(),
    prompt: text,
    add_special_tokens: flag,
    return_token_strs: flag,
  },
  'a JSON object',
);

export const detokenizeBody = z.looseObject({ model: text, tokens: tokenIds(mostTokens) }, 'a JSON object');
