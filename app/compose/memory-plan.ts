import { defaultConstraints } from '../../controller/planner/input/input.ts';
import { plan } from '../../controller/planner/plan.ts';
import { formatBytes } from '../../platform/process/quantities.ts';
import type { ModelSpec, PlacementPlan } from '../../proto/messages.ts';
import { cacheType, fittingBlocks, stateSlotsFor } from '../../proto/model/cache.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import { type CacheSize, cacheSize, modelCacheBytes } from '../../worker/stage/cache-size.ts';
import { unusedMemory } from '../config/given-memory.ts';

export interface MemoryRequest {
  readonly spec: ModelSpec;
  readonly weights: WeightsFormat;
  /** Bytes that this process may still take. */
  readonly freeBytes: number;
  /** Bytes that it could take if nothing else ran here. */
  readonly totalBytes: number;
  readonly cores: number;
  /** The id of a GPU. Default "cpu". */
  readonly device?: string;
  /** Bytes for the KV cache; null: half of what the weights leave. */
  readonly kvMemory: number | null;
  readonly blockSize: number;
  /** Longest sequence, in tokens; null: the model's own limit, or less where the cache cannot hold it. */
  readonly maxModelLen: number | null;
  /** Whether it may be beyond the positions that the model was made for. */
  readonly allowLong: boolean;
  readonly maxSequences: number;
}

export interface MemoryPlan {
  /** Everything on one worker. */
  readonly placement: PlacementPlan;
  readonly cache: CacheSize;
  readonly weightBytes: number;
  /** Where what is served differs from what was asked for. */
  readonly warnings: readonly string[];
}

/** The model does not fit into the memory there is, or the options contradict each other. */
export class MemoryError extends Error {
  override readonly name = 'MemoryError';
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** How to get a longer sequence than a model was made for, and what it may cost. */
export const insist = 'beyond them its answers may be nonsense: insist with --allow-long-max-model-len';

export function beyondPositions(maxModelLen: number, maxPosition: number): string {
  return `--max-model-len ${maxModelLen} is beyond the ${maxPosition} positions that the model was made for: longer answers may be nonsense`;
}

/** Share of the memory that is left after loading which the cache takes by default. */
const cacheShare = 0.5;

/** Decides before anything is loaded whether the model fits, and how large its cache is. Throws a MemoryError. */
export function planMemory(request: MemoryRequest): MemoryPlan {
  const { spec, weights, freeBytes, blockSize } = request;
  const longest = request.maxModelLen ?? spec.maxPosition;
  if (longest > spec.maxPosition && !request.allowLong) {
    throw new MemoryError(
      `--max-model-len ${longest} is more than the ${spec.maxPosition} positions that the model was made for`,
      `Give at most ${spec.maxPosition}; ${insist}.`,
    );
  }
  const beyond = longest > spec.maxPosition ? [beyondPositions(longest, spec.maxPosition)] : [];
  if (request.kvMemory !== null && request.kvMemory > request.totalBytes) {
    throw new MemoryError(
      `--kv-memory ${formatBytes(request.kvMemory)} is more than the ${formatBytes(request.totalBytes)} of memory that there are`,
      'Give at most what the weights leave, or leave it out: the cache then takes what it can use.',
    );
  }
  const weightBytes = place(request, { kvBlocks: 0, stateSlots: 0 }).workers[0]?.weightBytes ?? 0;
  const budgetBytes = request.kvMemory ?? Math.floor((freeBytes - weightBytes) * cacheShare);
  const { maxSequences } = request;
  const room = { blockSize, stateSlots: stateSlotsFor(spec, maxSequences) };
  const blocks = fittingBlocks(spec, cacheType(weights), room, budgetBytes);
  const given =
    request.kvMemory === null ? 'the memory that the weights leave' : `--kv-memory ${formatBytes(budgetBytes)}`;
  const fitting = blocks * blockSize;
  if (fitting < 1 || (request.maxModelLen !== null && fitting < longest)) {
    const needed = modelCacheBytes(spec, weights, { ...room, kvBlocks: Math.ceil(longest / blockSize) });
    const besides = room.stateSlots > 0 ? ` beside the states of ${room.stateSlots} sequences` : '';
    const remedies = [
      `Raise --kv-memory to ${formatBytes(needed)}`,
      ...(fitting < 1 ? [] : [`lower --max-model-len to ${fitting}`]),
      ...(room.stateSlots > 0 ? ['lower --max-num-seqs'] : []),
    ];
    throw new MemoryError(
      `--max-model-len ${longest} needs ${formatBytes(needed)} of KV cache for one sequence${besides}, but ${given} holds ${fitting} tokens`,
      `${remedies.join(' or ')}.`,
    );
  }
  const cache = cacheSize({ spec, weights, blockSize, maxModelLen: longest, maxSequences, budgetBytes });
  const warnings: string[] = beyond;
  if (cache.maxModelLen < longest) {
    warnings.push(
      `sequences are limited to ${cache.maxModelLen} of the model's ${longest} tokens, as ${given} holds no more`,
    );
  }
  if (request.kvMemory !== null && cache.kvBlocks < blocks) {
    warnings.push(unusedMemory(request.kvMemory, cache.bytes, maxSequences, longest));
  }
  return { placement: place(request, cache), cache, weightBytes, warnings };
}

/** A plan that puts everything on this process. */
function place(
  { spec, weights, freeBytes, cores, device = 'cpu', blockSize }: MemoryRequest,
  { kvBlocks, stateSlots }: Pick<CacheSize, 'kvBlocks' | 'stateSlots'>,
): PlacementPlan {
  const result = plan({
    spec,
    weights,
    workers: [
      {
        id: 'local',
        address: '',
        node: 'local',
        roles: ['stage', 'expert'],
        memoryBytes: freeBytes,
        cores,
        device,
      },
    ],
    load: null,
    constraints: { ...defaultConstraints, kvBlocks, blockSize, stateSlots },
    constraintsRevision: 0,
    term: 0,
    previous: null,
    reason: 'one process serves everything',
  });
  if (result.kind === 'planned') return result.plan;
  throw new MemoryError(
    `${spec.name} does not fit into the ${formatBytes(freeBytes)} of memory that are free${device === 'cpu' ? '' : ` on ${device}`}: ${result.problems.join('; ')}`,
    'Try --weights q8 or q4, a smaller --kv-memory, or a machine with more memory.',
  );
}
