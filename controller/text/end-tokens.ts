/**
 * Tokens that end a model's answer. Fine-tunes name them in one file and forget the others, so all of them count: those of the
 * configurations, the tokenizer's `eos_token`, and the one that the chat template puts behind an answer.
 */
import type { ModelSpec } from '../../proto/messages.ts';
import type { TextFiles } from '../model/checkpoint/checkpoint-files.ts';
import type { EndToken } from '../model/compile.ts';
import type { NamedTemplate, TemplateProcess } from './isolated/template-process.ts';
import { writeJson } from './json/exact-json.ts';
import { addedTokens, tokenText } from './special-tokens.ts';
import type { TokenTable } from './token-table.ts';

/** A token that ends a sequence, and every place that says so. */
export interface NamedEndToken {
  readonly id: number;
  /** Its text; empty where the tokenizer has none for it. */
  readonly token: string;
  readonly sources: readonly string[];
}

/** What the tokenizer's files call `eos_token`, as far as the vocabulary has it. */
export function tokenizerEnds(files: TextFiles, idOf: (token: string) => number | undefined): readonly EndToken[] {
  const named = {
    'tokenizer_config.json': files.tokenizerConfig['eos_token'],
    'special_tokens_map.json': files.specialTokensMap['eos_token'],
  };
  return Object.entries(named).flatMap(([source, spelled]) => {
    const token = tokenText(spelled);
    const id = token === null ? undefined : idOf(token);
    return id === undefined ? [] : [{ id, source }];
  });
}

/** Stands for an answer in a conversation; no template has it, or changes it. */
const answer = 'conclave7answer';

/** The added token with which a template ends an answer; none where it puts none there, or refuses the conversation. */
export async function templateEnds(
  files: TextFiles,
  templates: readonly NamedTemplate[],
  names: Readonly<Record<string, string>>,
  process: TemplateProcess,
): Promise<readonly EndToken[]> {
  const added = addedTokens(files).filter(({ content }) => content.trim() !== '');
  const messages = [
    { role: 'user', content: 'question' },
    { role: 'assistant', content: answer },
  ];
  const ends: EndToken[] = [];
  for (const template of templates) {
    const variables = writeJson({ ...names, messages, add_generation_prompt: false });
    const rendered = await process.render(template, variables, null).catch(() => '');
    const at = rendered.lastIndexOf(answer);
    const after = at < 0 ? '' : rendered.slice(at + answer.length).trimStart();
    const [longest] = added
      .filter(({ content }) => after.startsWith(content))
      .toSorted((a, b) => b.content.length - a.content.length);
    if (longest !== undefined) ends.push({ id: longest.id, source: template.name });
  }
  return ends;
}

/** All of them, by id in the order in which they are named. Ids that the model has no logits for are left out. */
export function gatherEnds(
  named: readonly EndToken[],
  { vocabSize }: Pick<ModelSpec, 'vocabSize'>,
  table: TokenTable,
): readonly NamedEndToken[] {
  const sources = new Map<number, Set<string>>();
  for (const { id, source } of named) {
    if (id < vocabSize) sources.set(id, (sources.get(id) ?? new Set()).add(source));
  }
  return [...sources].map(([id, places]) => ({ id, token: table.entry(id).text ?? '', sources: [...places] }));
}

/** For people: `<|im_end|> (258: config.json, tokenizer_config.json)`. */
export function describeEnds(ends: readonly NamedEndToken[]): string {
  if (ends.length === 0) return 'none: sequences end at stop texts and max_tokens alone';
  return ends
    .map(({ id, token, sources }) => `${token === '' ? 'token' : token} (${id}: ${sources.join(', ')})`)
    .join('; ');
}
