/** POST /v1/completions. */
import { ServiceError } from '../../errors.ts';
import type { Generation, Served } from '../../gateway/inference.ts';
import { type AnswerHead, ChunkWriter } from '../answers/answer.ts';
import { tokenNames } from '../answers/logprobs.ts';
import type { Plan } from '../answers/plan.ts';
import { UsageCounter } from '../answers/usage.ts';
import { readCommonFields, readPromptLogprobs, readStreamFields } from '../fields/common-body.ts';
import { completionBody } from '../fields/completion-body.ts';
import { readConstraint } from '../fields/constraint-fields.ts';
import { exactBody } from '../fields/json-body.ts';
import { outputTokens, type Prompt, readLastTokens, readPrompts } from '../fields/prompts.ts';
import { readBody } from '../fields/read-body.ts';
import { readStructure } from '../fields/structure-fields.ts';
import { TextDocument, TextStream } from './text-answer.ts';

/** What OpenAI generates when nothing is said. */
const defaultMaxTokens = 16;

/** Log-probabilities of prompt tokens in one answer. Each choice repeats its prompt's, so a short request can ask for many. */
const maxPromptScores = 2 ** 22;

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
  const promptOptions = {
    addSpecialTokens: fields.add_special_tokens ?? true,
    lastTokens: readLastTokens(fields.truncate_prompt_tokens, served),
  };
  const prompts = await readPrompts(fields.prompt, promptOptions, served, signal);
  const n = fields.n ?? 1;
  const scored = { echo: echo ? logprobs : null, prompt_logprobs: readPromptLogprobs(fields) };
  checkPromptScores(prompts, n, scored);
  const structure = readStructure(fields, exactBody(body));
  const grammar = structure && (await served.text.compileConstraint(structure, null, signal, served.client));
  const constraint = await readConstraint(fields, served, asked ?? defaultMaxTokens, grammar);
  const generations = prompts.map(
    ({ tokenIds }): Generation => ({
      ...common,
      promptTokenIds: tokenIds,
      maxTokens: outputTokens(tokenIds.length, asked, defaultMaxTokens, served, 'max_tokens'),
      constraint,
      logprobs: logprobs ?? (common.n > n ? 0 : null),
      promptLogprobs: mostOf(Object.values(scored)),
      textOffsets: logprobs !== null,
    }),
  );
  const usage = new UsageCounter();
  const options = {
    prompts,
    n,
    candidates: common.n,
    promptLogprobs: scored.prompt_logprobs,
    table: served.text.table,
    names,
    echo,
    logprobs,
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

type Scored = Readonly<Record<'echo' | 'prompt_logprobs', number | null>>;

function checkPromptScores(prompts: readonly Prompt[], n: number, scored: Scored): void {
  const tokens = prompts.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
  for (const field of ['echo', 'prompt_logprobs'] as const) {
    const logprobs = scored[field];
    const scores = logprobs === null ? 0 : n * tokens * (logprobs + 1);
    if (scores <= maxPromptScores) continue;
    const message =
      `${field}: ${scores} log-probabilities of prompt tokens were asked for, at most ${maxPromptScores} fit into an answer: ` +
      'send fewer prompts at a time, or ask for a smaller n or logprobs';
    throw new ServiceError('INVALID_REQUEST', message, { field });
  }
}

function mostOf(counts: readonly (number | null)[]): number | null {
  const given = counts.filter((count) => count !== null);
  return given.length === 0 ? null : Math.max(...given);
}
