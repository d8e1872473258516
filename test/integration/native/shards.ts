import type {
  Dispatch,
  EncodedTotals,
  ExpertBank,
  ExpertRoute,
  PartialSum,
  RankShard,
  Stage,
  StepBatch,
  StepProgress,
} from '../../../native/native.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { expertCount } from '../../../proto/model/operators.ts';
import type { Run } from './model.ts';

type DispatchProgress = Extract<StepProgress, { kind: 'dispatch' }>;

/** What answers dispatches, by target: here other handles of this process, which stand for other machines. */
export interface Remote {
  readonly bank: ExpertBank | null;
  readonly rank: RankShard | null;
}

export type Remotes = ReadonlyMap<number, Remote>;

/** Runs batches through stages one after the other; their dispatches are answered by `remotes`. */
export function shardedRun(stages: readonly Stage[], remotes: Remotes): Run {
  return async (batch) => {
    let hidden: Uint8Array | null = null;
    for (const stage of stages) {
      let progress: StepProgress = await stage.begin({ ...batch, hidden });
      while (progress.kind === 'dispatch') {
        progress = await stage.resume(progress.step, await answerAll(progress, batch, remotes));
      }
      if (progress.kind === 'output') return progress.output;
      hidden = progress.hidden;
    }
    throw new Error('no stage gave an output');
  };
}

export async function answerAll(
  progress: DispatchProgress,
  batch: StepBatch,
  remotes: Remotes,
): Promise<readonly PartialSum[]> {
  const answers = progress.dispatches.map((dispatch) => answer(progress, dispatch, batch, remotes));
  return (await Promise.all(answers)).flat();
}

async function answer(
  { operator }: DispatchProgress,
  { target, rowIndices, dense, experts }: Dispatch,
  where: StepBatch,
  remotes: Remotes,
): Promise<readonly PartialSum[]> {
  const remote = remotes.get(target);
  if (remote === undefined) throw new Error(`no remote has the number ${target}`);
  const sums = async (): Promise<EncodedTotals> => {
    if (operator === 'attention') return existing(remote.rank).attention(experts, where);
    if (!dense) return existing(remote.bank).forward(experts);
    return existing(remote.rank).ffn(experts, experts.topK > 0 ? existing(remote.bank) : null);
  };
  return [{ rowIndices, ...(await sums()) }];
}

function existing<T>(shard: T | null): T {
  if (shard === null) throw new Error('the target does not have this kind of shard');
  return shard;
}

/** The same route for every expert layer: `targets(expert, slice)` lists the replicas. */
export function routeExperts(
  stage: Stage,
  spec: ModelSpec,
  [first, end]: readonly [number, number],
  slices: number,
  targets: (expert: number, slice: number) => readonly number[],
): void {
  for (let layer = first; layer < end; layer++) {
    const experts = expertCount(spec.layers[layer]);
    if (experts > 0) stage.setRoute(layer, expertRoute(experts, slices, targets));
  }
}

export function expertRoute(
  experts: number,
  slices: number,
  targets: (expert: number, slice: number) => readonly number[],
): ExpertRoute {
  const replicas = Array.from({ length: experts * slices }, (_, slot) =>
    targets(Math.floor(slot / slices), slot % slices),
  );
  const offsets = [0];
  for (const list of replicas) offsets.push((offsets.at(-1) ?? 0) + list.length);
  const flat = replicas.flat();
  return {
    slices,
    offsets: Int32Array.from(offsets),
    targets: Int32Array.from(flat),
    shares: new Float32Array(flat.length).fill(1),
  };
}
