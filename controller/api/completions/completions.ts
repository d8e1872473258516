/** POST /v1/completions. */
import { ServiceError } from '../../errors.ts';
import type { Generation, Served } from '../../gateway/inference.ts';
import { type AnswerHead, ChunkWriter } from '../answers/answer.ts';
import { tokenNames } from '../answers/logprobs.ts';
import type { Plan } from '../answers/plan.ts';
import { UsageCounter } from '../answers/usage.ts';
import { readCommonFields, readStreamFields } from '../fields/common-body.ts';
import { completionBody } from '../fields/completion-body.ts';
import { outputTokens, type Prompt, readPrompts } from '../fields/prompts.ts';
import { readBody } from '../fields/read-body.ts';
import { TextDocument, TextStream } from './text-answer.ts';

/** What OpenAI generates when nothing is said. */
const defaultMaxTokens = 16;

/** Log-probabilities of echoed prompts in one answer. Each choice repeats its prompt's, so a short request can ask for many. */
const maxEchoedScores = 2 ** 22;

/** Checks a request and says how it is run and answered. */
export async function planCompletion(
  body: unknown,
  served: Served,
  head: AnswerHead,
  signal: AbortSignal,
): Promise<Plan> {
  const fields = readBody(completionBody, body);
  const common = readCommonFields(fields, body, served);
  const stream = readStreamFields(fields);
  const echo = fields.echo ?? false;
  const logprobs = fields.logprobs ?? null;
  const asked = fields.max_tokens ?? null;
  const names = tokenNames(served.text.table, fields.return_tokens_as_token_ids ?? false, 'escape');
  const prompts = await readPrompts(fields.prompt, fields.add_special_tokens ?? true, served, signal);
  if (echo && logprobs !== null) checkEchoedScores(prompts, common.n, logprobs);
  const generations = prompts.map(
    ({ tokenIds }): Generation => ({
      ...common,
      promptTokenIds: tokenIds,
      maxTokens: outputTokens(tokenIds.length, asked, defaultMaxTokens, served, 'max_tokens'),
      logprobs,
      promptLogprobs: echo ? logprobs : null,
      textOffsets: logprobs !== null,
    }),
  );
  const usage = new UsageCounter();
  const options = {
    prompts,
    n: common.n,
    table: served.text.table,
    names,
    echo,
    logprobs: logprobs !== null,
    returnTokenIds: stream.returnTokenIds,
    skipSpecialTokens: common.skipSpecialTokens,
  };
  return {
    generations,
    streamed: stream.stream,
    document: () => new TextDocument(head, usage, options),
    stream(events) {
      const writer = new ChunkWriter(events, 'text_completion', head, usage, stream);
      return { answer: new TextStream(writer, usage, options), end: () => writer.end() };
    },
  };
}

function checkEchoedScores(prompts: readonly Prompt[], n: number, logprobs: number): void {
  const tokens = prompts.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
  const scores = n * tokens * (logprobs + 1);
  if (scores <= maxEchoedScores) return;
  const message =
    `echo: ${scores} log-probabilities of prompt tokens were asked for, at most ${maxEchoedScores} fit into an answer: ` +
    'send fewer prompts at a time, or ask for a smaller n or logprobs';
  throw new ServiceError('INVALID_REQUEST', message, { field: 'echo' });
}
