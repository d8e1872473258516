/** The HTTP API as an OpenAPI document. Bodies are described by the schemas that check them. */
import { z } from 'zod';
import { chatBody } from '../fields/chat-body.ts';
import { completionBody } from '../fields/completion-body.ts';
import { detokenizeBody, tokenizeBody } from '../fields/tokenize-body.ts';
import { countTokensBody, messageBody } from '../messages/message-body.ts';
import { responseBody } from '../responses/response-body.ts';

const json = (schema: object) => ({ 'application/json': { schema } });
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });

const bodies = {
  ChatCompletionRequest: chatBody,
  CompletionRequest: completionBody,
  ResponseRequest: responseBody,
  MessageRequest: messageBody,
  CountTokensRequest: countTokensBody,
  TokenizeRequest: tokenizeBody,
  DetokenizeRequest: detokenizeBody,
};

const anError = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: { type: ['string', 'null'], description: 'Path of the field at fault, such as messages[1].content.' },
        code: { type: 'string' },
      },
      required: ['message', 'type'],
    },
  },
  required: ['error'],
};

const failure = { description: 'Refused or failed; "error" says why.', content: json(ref('Error')) };
const answer = { description: 'The answer.', content: json({ type: 'object' }) };
const stream = { 'text/event-stream': { schema: { type: 'string' } } };

function post(summary: string, body: keyof typeof bodies, streams: boolean): object {
  const content = streams ? { ...answer.content, ...stream } : answer.content;
  return {
    summary,
    requestBody: { required: true, content: json(ref(body)) },
    responses: { 200: { ...answer, content }, default: failure },
  };
}

function get(summary: string, responses: object = { 200: answer, default: failure }): object {
  return { summary, responses };
}

const idOf = (name: string, what: string) => ({
  ...{ name, in: 'path', required: true, description: what, schema: { type: 'string', minLength: 1 } },
});

const open = { security: [] };
const readiness = {
  200: answer,
  503: { description: 'Requests cannot be answered.', content: json({ type: 'object' }) },
};
const text = { description: 'Metrics.', content: { 'text/plain': { schema: { type: 'string' } } } };

const paths = {
  '/v1/chat/completions': { post: post('Answer a conversation.', 'ChatCompletionRequest', true) },
  '/v1/completions': { post: post('Go on with a text.', 'CompletionRequest', true) },
  '/v1/responses': { post: post('Answer items, and keep the answer.', 'ResponseRequest', true) },
  '/v1/responses/{id}': {
    parameters: [idOf('id', 'Id of a response.')],
    get: get('A response that is kept.'),
    delete: get('Keep a response no longer.'),
  },
  '/v1/responses/{id}/input_items': {
    parameters: [idOf('id', 'Id of a response.')],
    get: get('What a response was asked.'),
  },
  '/v1/messages': { post: post("Answer a conversation, as Anthropic's API does.", 'MessageRequest', true) },
  '/v1/messages/count_tokens': { post: post('Count the tokens of a conversation.', 'CountTokensRequest', false) },
  '/v1/models': { get: get('The names of the model that is served.') },
  '/v1/models/{model}': {
    parameters: [idOf('model', 'Name of a model; it may hold slashes.')],
    get: get('One model.'),
  },
  '/tokenize': { post: post('Token ids of a text or a conversation.', 'TokenizeRequest', false) },
  '/detokenize': { post: post('The text of token ids.', 'DetokenizeRequest', false) },
  '/tokenizer_info': { get: get('Special tokens and the chat template.') },
  '/version': { get: get('The version of the server.') },
  '/health': { get: { ...get('The server lives.'), ...open } },
  '/ready': { get: { ...get('Requests can be answered.', readiness), ...open } },
  '/metrics': { get: { ...get('Prometheus metrics.', { 200: text }), ...open } },
};

export function openapiDocument(version: string): object {
  return {
    openapi: '3.1.0',
    info: { title: 'Conclave', version },
    paths,
    security: [{}, { key: [] }],
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
      schemas: {
        ...Object.fromEntries(Object.entries(bodies).map(([name, schema]) => [name, schemaOf(schema)])),
        Error: anError,
      },
    },
  };
}

function schemaOf(schema: z.ZodType): object {
  // Bodies are not changed by being checked, and the output side says more: how long lists may be.
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' });
  return rest;
}
