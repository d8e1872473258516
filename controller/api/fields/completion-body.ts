/** The body of POST /v1/completions. */
import { z } from 'zod';
import { commonFields, maxLogprobs, maxTokensField } from './common-body.ts';
import { promptField } from './prompts.ts';
import { flag, integer, refused } from './schema.ts';

export const completionBody = z.looseObject(
  {
    ...commonFields,
    prompt: promptField,
    max_tokens: maxTokensField,
    echo: flag,
    logprobs: integer({ min: 0, max: maxLogprobs }),
    suffix: refused('is not supported', ''),
  },
  'a JSON object',
);
