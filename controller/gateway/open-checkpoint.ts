/**
 * A checkpoint as it is served: the model, and what turns text into its tokens. Everything that serves one, or says whether it
 * can be served, opens it here, so that all refuse the same folders for the same reasons.
 */
import { join, resolve } from 'node:path';
import type { ModelSpec } from '../../proto/messages.ts';
import { packageRoot } from '../../proto/package-root.ts';
import { isFolder } from '../model/checkpoint/folder.ts';
import { compileModel } from '../model/compile.ts';
import { ModelError } from '../model/config/problems.ts';
import { isGguf } from '../model/gguf/file.ts';
import type { ModelReport } from '../model/report.ts';
import { gatherEnds, type NamedEndToken } from '../text/end-tokens.ts';
import { type AnswerParsers, loadTextModel, type TextModel } from '../text/text-model.ts';

/** What `conclave inspect --output json` prints: keys are added, never renamed or removed. */
export interface CheckpointReport extends ModelReport {
  /** Tokens that end a sequence. */
  readonly endTokens: readonly NamedEndToken[];
  /** Why chat requests cannot be answered; null when they can. */
  readonly chatObstacle: string | null;
  /** How calls of tools and reasoning are read from answers to chats; null: they are not. */
  readonly toolCallParser: string | null;
  readonly reasoningParser: string | null;
  /** What is odd about the checkpoint and no obstacle. */
  readonly warnings: readonly string[];
}

export interface OpenCheckpoint {
  /** Absolute. */
  readonly directory: string;
  readonly spec: ModelSpec;
  readonly report: CheckpointReport;
  /** To be closed. */
  readonly text: TextModel;
  /** Names that requests may use; the first is the one shown. */
  readonly names: readonly [string, ...string[]];
}

/**
 * `model`: a folder; null is the bundled demo model. `servedNames` replace the name that the folder gives. Throws a ModelError
 * that lists everything that is wrong.
 */
export async function openCheckpoint(
  model: string | null,
  servedNames: readonly string[] | null,
  parsers?: AnswerParsers,
): Promise<OpenCheckpoint> {
  const folder = resolve(model ?? join(packageRoot, 'models/clerk'));
  const [name, ...aliases] = servedNames ?? [];
  const compiling = compileModel(folder, name === undefined ? {} : { name });
  // Without a folder, one problem is enough.
  const [compiled, loaded] = await Promise.allSettled([
    compiling,
    isModel(folder).then((found) => (found ? loadTextModel(folder, parsers) : compiling.then(never))),
  ]);
  if (compiled.status === 'rejected' || loaded.status === 'rejected') {
    if (loaded.status === 'fulfilled') await loaded.value.close();
    throw together([compiled, loaded].flatMap((part) => (part.status === 'rejected' ? [part.reason as unknown] : [])));
  }
  const { directory, spec, report, endTokens, warnings } = compiled.value;
  const text = loaded.value;
  const ends = gatherEnds([...endTokens, ...text.endTokens], spec, text.table);
  return {
    directory,
    spec: { ...spec, eosTokenIds: ends.map(({ id }) => id) },
    report: { ...report, endTokens: ends, chatObstacle: text.chatObstacle, ...parsersOf(text), warnings },
    text,
    names: [spec.name, ...aliases],
  };
}

function parsersOf({ answers }: TextModel): Pick<CheckpointReport, 'toolCallParser' | 'reasoningParser'> {
  return { toolCallParser: answers.toolParser, reasoningParser: answers.reasoningParser };
}

async function isModel(path: string): Promise<boolean> {
  return isGguf(path) || (await isFolder(path));
}

function never(): never {
  throw new Error('a folder that is none was compiled');
}

/** One error for all, where all are about the folder; else the first that is not. */
function together(errors: readonly unknown[]): unknown {
  const folder = errors.filter((error) => error instanceof ModelError);
  const [first] = folder;
  if (first === undefined || folder.length < errors.length)
    return errors.find((error) => !(error instanceof ModelError));
  const problems = [...new Set(folder.flatMap((error) => error.problems))];
  const unlisted = folder.reduce((sum, error) => sum + error.problemCount - error.problems.length, 0);
  return new ModelError(first.directory, problems, problems.length + unlisted);
}
