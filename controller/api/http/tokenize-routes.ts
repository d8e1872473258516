/** POST /tokenize and /detokenize, in vLLM's shapes. */
import type { FastifyInstance } from 'fastify';
import { invalidField, ServiceError } from '../../errors.ts';
import type { Inference } from '../../gateway/inference.ts';
import { detokenize } from '../../text/detokenizer.ts';
import { tokenNames } from '../answers/logprobs.ts';
import { readChatInput } from '../fields/chat-messages.ts';
import { Fields } from '../fields/fields.ts';
import { resolveModelName } from './model-routes.ts';

/** Most tokens of one request, so that neither the work nor the answer grows without bound. */
const maxTokens = 2 ** 20;

export function addTokenizeRoutes(app: FastifyInstance, inference: Inference): void {
  const { text, model } = inference;

  app.post('/tokenize', async (request) => {
    const fields = new Fields(request.body);
    resolveModelName(fields.string('model'), inference);
    const tokens = await tokenize(fields, inference);
    const names = tokenNames(text.table, false, 'replace');
    return {
      count: tokens.length,
      max_model_len: model.maxModelLen,
      tokens,
      token_strs: fields.boolean('return_token_strs') === true ? tokens.map((id) => names.name(id)) : null,
    };
  });

  app.post('/detokenize', (request) => {
    const fields = new Fields(request.body);
    resolveModelName(fields.string('model'), inference);
    const tokens = fields.tokenIds('tokens', maxTokens, model.vocabSize);
    if (tokens === null) throw invalidField('tokens', undefined, 'an array of token ids');
    return { prompt: detokenize(text.table, tokens, false) };
  });
}

async function tokenize(fields: Fields, inference: Inference): Promise<readonly number[]> {
  const { text } = inference;
  const field = fields.has('messages') ? 'messages' : 'prompt';
  const prompt = field === 'prompt' ? fields.string('prompt') : await text.renderChat(readChatInput(fields));
  if (prompt === null) throw invalidField('prompt', undefined, 'a text, or messages instead');
  const tokens = await text.encode(prompt, fields.boolean('add_special_tokens') ?? field === 'prompt', maxTokens);
  if (tokens.length <= maxTokens) return tokens;
  const message = `${field}: ${tokens.length} tokens are more than the ${maxTokens} that are listed at a time`;
  throw new ServiceError('CONTEXT_LENGTH_EXCEEDED', message, { field });
}
