/** The body of POST /v1/messages and of /v1/messages/count_tokens. */
import { z } from 'zod';
import { anObject, flag, integer, list, number, refused, text } from '../fields/schema.ts';

const maxMessages = 16_384;
const maxBlocks = 16_384;
const maxTools = 1024;
const none = 'is not supported';

const block = z.looseObject({ type: z.string('the type of a block, such as "text"') }, 'a content block with a type');
const content = z.union([z.string(), list(block, maxBlocks)], 'a text or an array of content blocks');

const message = z.looseObject(
  { role: z.enum(['user', 'assistant'], '"user" or "assistant"'), content },
  'a JSON object',
);

const tool = z.looseObject(
  {
    type: text,
    name: z.string('the name of a tool').min(1, 'the name of a tool'),
    description: text,
    input_schema: anObject.nullish(),
  },
  'a JSON object',
);

const toolChoice = z.looseObject(
  {
    type: z.enum(['auto', 'any', 'tool', 'none'], '"auto", "any", "tool" or "none"'),
    name: text,
    disable_parallel_tool_use: flag,
  },
  'a JSON object',
);

const conversation = {
  model: text,
  messages: list(message, maxMessages, ({ input }) => (input === undefined ? 'at least one message' : 'an array')),
  system: content.nullish(),
  tools: list(tool, maxTools).nullish(),
  tool_choice: toolChoice.nullish(),
  thinking: z
    .looseObject(
      { type: z.enum(['enabled', 'disabled', 'adaptive'], '"enabled", "disabled" or "adaptive"') },
      'a JSON object',
    )
    .nullish(),
  output_config: z.looseObject({ format: anObject.nullish(), effort: text }, 'a JSON object').nullish(),
  mcp_servers: refused(none),
  container: refused(none),
};

export const countTokensBody = z.looseObject(conversation, 'a JSON object');

export const messageBody = z.looseObject(
  {
    ...conversation,
    max_tokens: z.int('an integer of at least 1').min(1, 'an integer of at least 1'),
    temperature: number({ min: 0, max: 1 }),
    top_p: number({ min: 0, max: 1 }),
    top_k: integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    stop_sequences: list(z.string('a text'), 64).nullish(),
    stream: flag,
  },
  'a JSON object',
);

export type CountTokensBody = z.output<typeof countTokensBody>;
export type Block = z.output<typeof block>;
