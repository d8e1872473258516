/** POST /tokenize and /detokenize, and GET /tokenizer_info, in vLLM's shapes. */
import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { invalidField, ServiceError } from '../../errors.ts';
import type { Inference } from '../../gateway/inference.ts';
import { detokenize } from '../../text/detokenizer.ts';
import { tokenNames } from '../answers/logprobs.ts';
import { readChatInput } from '../fields/chat-messages.ts';
import { exactBody } from '../fields/json-body.ts';
import { resolveModelName } from '../fields/model-name.ts';
import { readBody } from '../fields/read-body.ts';
import { checkTokenIds } from '../fields/schema.ts';
import { detokenizeBody, mostTokens, tokenizeBody } from '../fields/tokenize-body.ts';

export function addTokenizeRoutes(app: FastifyInstance, inference: Inference): void {
  const { text, model } = inference;

  // By this lm-eval learns that it need not have the tokenizer itself.
  app.get('/tokenizer_info', () => text.tokenizerInfo);

  app.post('/tokenize', async (request) => {
    const fields = readBody(tokenizeBody, request.body);
    resolveModelName(fields.model ?? null, inference);
    const tokens = await tokenize(fields, exactBody(request.body), inference);
    const names = tokenNames(text.table, false, 'replace');
    return {
      count: tokens.length,
      max_model_len: model.maxModelLen,
      tokens,
      token_strs: fields.return_token_strs === true ? tokens.map((id) => names.name(id)) : null,
    };
  });

  app.post('/detokenize', (request) => {
    const { model: name, tokens } = readBody(detokenizeBody, request.body);
    resolveModelName(name ?? null, inference);
    if (tokens === null || tokens === undefined) throw invalidField('tokens', undefined, 'an array of token ids');
    return { prompt: detokenize(text.table, checkTokenIds(tokens, 'tokens', model.vocabSize), false) };
  });
}

/** `exact`: the body with all digits of its numbers. */
async function tokenize(
  fields: z.output<typeof tokenizeBody>,
  exact: unknown,
  inference: Inference,
): Promise<readonly number[]> {
  const { text } = inference;
  const { messages } = fields;
  const field = messages === null || messages === undefined ? 'prompt' : 'messages';
  const prompt =
    messages === null || messages === undefined
      ? (fields.prompt ?? null)
      : await text.renderChat(readChatInput({ ...fields, messages }, exact));
  if (prompt === null) throw invalidField('prompt', undefined, 'a text, or messages instead');
  const tokens = await text.encode(prompt, fields.add_special_tokens ?? field === 'prompt', mostTokens);
  if (tokens.length <= mostTokens) return tokens;
  const message = `${field}: ${tokens.length} tokens are more than the ${mostTokens} that are listed at a time`;
  throw new ServiceError('CONTEXT_LENGTH_EXCEEDED', message, { field });
}
