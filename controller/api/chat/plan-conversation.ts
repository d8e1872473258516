/**
 * What all chat dialects share: a conversation with its tools and its limits becomes a prompt and a Generation, and the text that
 * comes of it is read as reasoning, content and calls. A dialect writes its request as a ChatBody, and its answer from those.
 */
import { invalidField } from '../../errors.ts';
import type { Generation, Served } from '../../gateway/inference.ts';
import { isObject } from '../../model/config/json.ts';
import type { AnswerParser } from '../../text/answer/answer-part.ts';
import { answerParser } from '../../text/answer/parser/answer-parser.ts';
import { type ChatBody, refuseOtherModalities } from '../fields/chat-body.ts';
import { calledTools, continuedText, readChatInput } from '../fields/chat-messages.ts';
import { readCommonFields, readPromptLogprobs } from '../fields/common-body.ts';
import { readConstraint } from '../fields/constraint-fields.ts';
import { encodePrompt, outputTokens, readLastTokens } from '../fields/prompts.ts';
import { readStructure } from '../fields/structure-fields.ts';
import { forcedCalls, preamble } from './forced-calls.ts';

export interface Conversation {
  readonly generation: Generation;
  /** A reader of one answer. */
  readonly answerParser: () => AnswerParser;
}

/**
 * `sent`: the body as it came, whose numbers have all their digits. `exact`: `body` with all digits of its numbers, where it has
 * come as that.
 */
export async function planConversation(
  body: ChatBody,
  sent: unknown,
  served: Served,
  signal: AbortSignal,
  exact: unknown = body,
): Promise<Conversation> {
  refuseOtherModalities(body);
  const common = readCommonFields(body, sent, served);
  const logprobs = readLogprobs(body);
  const { text: model } = served;
  const prompt = await model.renderChat(readChatInput(body, exact), signal);
  const tools = calledTools(body);
  const lastTokens = readLastTokens(body.truncate_prompt_tokens, served);
  const options = { addSpecialTokens: body.add_special_tokens ?? false, lastTokens };
  const { tokenIds } = await encodePrompt(served, prompt, options, 'messages', signal);
  const { maxModelLen } = served.model;
  const limit = (['max_completion_tokens', 'max_tokens'] as const).find((name) => (body[name] ?? null) !== null);
  const asked = limit === undefined ? null : (body[limit] ?? null);
  const maxTokens = outputTokens(tokenIds.length, asked, maxModelLen, served, limit ?? 'messages');
  const structure = forcedCalls(body, exact, model.answers) ?? readStructure(body, exact);
  const before = structure && preamble(model.answers, prompt, continuedText(body));
  const grammar = structure && (await model.compileConstraint(structure, before, signal, served.client));
  const generation: Generation = {
    ...common,
    promptTokenIds: tokenIds,
    maxTokens,
    constraint: await readConstraint(body, served, maxTokens, grammar),
    logprobs: logprobs ?? (common.n > (body.n ?? 1) ? 0 : null),
    promptLogprobs: readPromptLogprobs(body),
    textOffsets: false,
    shownTokens: model.answerTokens(tools !== null),
  };
  const context = {
    tools,
    streamed: body.stream ?? false,
    forced: body.tool_choice === 'required' || isObject(body.tool_choice),
    parallel: body.parallel_tool_calls ?? true,
    prompt,
    continued: continuedText(body),
  };
  return { generation, answerParser: () => answerParser(model.answers, context) };
}

function readLogprobs({ logprobs, top_logprobs }: ChatBody): number | null {
  const top = top_logprobs ?? 0;
  if (top > 0 && logprobs !== true) throw invalidField('top_logprobs', top, 'nothing unless "logprobs" is true');
  return logprobs === true ? top : null;
}
