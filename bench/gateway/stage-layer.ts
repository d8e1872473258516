import type { StepBatch } from '../../native/native.ts';
import type { StepExecutor } from '../../worker/engine/step/executor.ts';
import { outputTokens, prompt, promptTokens } from './workload.ts';

/** Drives the native stage without a scheduler: one step for all prompts, then one step per token. */
export async function driveStage(executor: StepExecutor, streams: number): Promise<void> {
  const first = (row: number): number => prompt(Math.floor(row / promptTokens))[row % promptTokens] ?? 0;
  let { tokens } = await executor.execute(step(executor, streams, promptTokens, 0, first));
  for (let token = 1; token < outputTokens; token++) {
    const last = tokens;
    const position = promptTokens + token - 1;
    ({ tokens } = await executor.execute(step(executor, streams, 1, position, (row) => last[row] ?? 0)));
  }
}

/** A step of `rowsEach` rows for each stream, from a position on. */
function step(
  { limits }: StepExecutor,
  streams: number,
  rowsEach: number,
  firstPosition: number,
  tokenOf: (row: number) => number,
): StepBatch {
  const rows = streams * rowsEach;
  const blocksEach = Math.ceil((promptTokens + outputTokens) / limits.blockSize);
  const count = (length: number, value: (index: number) => number): Int32Array =>
    Int32Array.from({ length }, (_, index) => value(index));
  return {
    tokenIds: count(rows, tokenOf),
    positions: count(rows, (row) => firstPosition + (row % rowsEach)),
    sequenceOffsets: count(streams + 1, (index) => index * rowsEach),
    blockTables: count(streams * blocksEach, (block) => block),
    blockOffsets: count(streams + 1, (index) => index * blocksEach),
    stateSlots: count(streams, () => -1),
    hidden: null,
    logits: {
      rows: count(streams, (index) => (index + 1) * rowsEach - 1),
      targets: count(streams, () => -1),
      logprobs: count(streams, () => -1),
      sampling: Array.from({ length: streams }, () => null),
      positions: count(streams, () => firstPosition + rowsEach),
      sequenceIndices: count(streams, () => 0),
      promptTokens: Array.from({ length: streams }, () => null),
      outputTokens: Array.from({ length: streams }, () => null),
      filters: Array.from({ length: streams }, () => null),
    },
  };
}
