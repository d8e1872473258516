/** The body of POST /v1/responses. */
import { z } from 'zod';
import { maxLogprobs, maxTokensField } from '../fields/common-body.ts';
import { anObject, flag, integer, list, number, refused, text } from '../fields/schema.ts';

const maxItems = 16_384;
const maxTools = 1024;
const none = 'is not supported';

/** An item without a type is a message. */
const item = z.looseObject({ type: text }, 'an item: a JSON object');
const tool = z.looseObject(
  { type: z.string('"function"'), name: text, description: text, parameters: anObject.nullish(), strict: flag },
  'a JSON object',
);
const toolChoice = z.union(
  [z.enum(['none', 'auto', 'required']), z.looseObject({ type: z.string('"function"'), name: text })],
  '"none", "auto", "required" or a named function',
);
const format = z.looseObject(
  { type: z.string('"text", "json_object" or "json_schema"'), name: text, schema: anObject.nullish(), strict: flag },
  'a JSON object',
);

export const responseBody = z.looseObject(
  {
    model: text,
    input: z.union([z.string(), list(item, maxItems)], 'a text or an array of items'),
    instructions: text,
    previous_response_id: text,
    store: flag,
    stream: flag,
    max_output_tokens: maxTokensField,
    temperature: number({ min: 0, max: 2 }),
    top_p: number({ min: 0, max: 1 }),
    top_logprobs: integer({ min: 0, max: maxLogprobs }),
    include: list(z.string('a string'), 16).nullish(),
    tools: list(tool, maxTools).nullish(),
    tool_choice: toolChoice.nullish(),
    parallel_tool_calls: flag,
    text: z.looseObject({ format: format.nullish() }, 'a JSON object').nullish(),
    reasoning: z.looseObject({ effort: text }, 'a JSON object').nullish(),
    metadata: anObject.nullish(),
    user: text,
    truncation: refused('a conversation that is too long is refused, not cut', 'disabled'),
    background: refused(none, false),
    conversation: refused(`${none}: use previous_response_id`),
    prompt: refused(none),
  },
  'a JSON object',
);

export type ResponseBody = z.output<typeof responseBody>;
export type Item = z.output<typeof item>;
