import type { Native, StepBatch } from '../../../native/native.ts';
import { goldenFolder, readGoldens } from '../../e2e/golden.ts';
import { keepsState, localRun, type Model, type OpenOptions, openModel, score } from './model.ts';

/** The likeliest tokens of a text, and which experts each position went through. */
export interface Traced {
  readonly likeliest: readonly number[];
  /** Of the text's next tokens. */
  readonly logprobs: readonly number[];
  readonly experts: readonly string[];
}

/** Computes a text position by position, so that the experts of each are known. */
async function trace({ stage, spec }: Model, text: readonly number[]): Promise<Traced> {
  const experts: string[] = [];
  const run = async (batch: StepBatch) => {
    const output = await localRun(stage)(batch);
    experts.push(stage.takeExpertRows().join(' | '));
    return output;
  };
  const [scores] = await score(run, [text], 1, 0, keepsState(spec));
  return { likeliest: scores?.likeliest ?? [], logprobs: scores?.logprobs ?? [], experts };
}

export async function traceAll(native: Native, family: string, options: OpenOptions): Promise<readonly Traced[]> {
  const model = await openModel(native, goldenFolder(family), options);
  try {
    const traced: Traced[] = [];
    for (const { prompt, continuation } of readGoldens(family)) {
      traced.push(await trace(model, [...prompt, ...continuation.slice(0, -1)]));
    }
    return traced;
  } finally {
    model.close();
  }
}
