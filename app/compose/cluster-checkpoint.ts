import type { Logger } from 'pino';
import type { ServedModel } from '../../controller/gateway/inference.ts';
import { openCheckpoint } from '../../controller/gateway/open-checkpoint.ts';
import { ownFormat } from '../../controller/model/own-format.ts';
import { describeEnds } from '../../controller/text/end-tokens.ts';
import type { TextModel } from '../../controller/text/text-model.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import { cacheBytes, cacheType, fittingBlocks, stateSlotsFor, wholeModel } from '../../proto/model/cache.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { ControllerConfig } from '../config/controller-config.ts';
import { unusedMemory } from '../config/given-memory.ts';
import { ConfigError } from '../config/load-config.ts';
import { beyondPositions, insist } from './memory-plan.ts';

/** A checkpoint that has been read, and how a cluster will serve it. */
export interface ClusterCheckpoint {
  readonly directory: string;
  readonly spec: ModelSpec;
  readonly text: TextModel;
  readonly weights: WeightsFormat;
  /** What "auto" means for it. */
  readonly ownWeights: WeightsFormat;
  readonly cacheBlocks: CacheBlocks;
  readonly served: ServedModel;
}

export interface CacheBlocks {
  /** Blocks of a pipeline's cache if memory allows. */
  readonly wanted: number;
  /** Blocks below which nothing is planned. */
  readonly least: number;
}

/** Opens the checkpoint and sizes its cache. Throws a ModelError or a ConfigError. */
export async function prepareClusterCheckpoint(config: ControllerConfig, log: Logger): Promise<ClusterCheckpoint> {
  const { directory, spec, report, text, names } = await openCheckpoint(config.model, config.servedModelName, config);
  log[report.endTokens.length === 0 ? 'warn' : 'info'](`end tokens: ${describeEnds(report.endTokens)}`);
  for (const warning of report.warnings) log.warn(warning);
  const ownWeights = ownFormat(report);
  const weights = config.weights === 'auto' ? ownWeights : config.weights;
  const maxModelLen = longestSequence(config, spec, log);
  const served = {
    names,
    maxModelLen,
    vocabSize: spec.vocabSize,
    eosTokenIds: spec.eosTokenIds,
    parameters: report.total.parameters,
    activeParameters: report.activeParameters,
    digest: spec.digest,
    created: Math.floor(Date.now() / 1_000),
  };
  const cacheBlocks = sizeCache(config, spec, weights, maxModelLen, log);
  return { directory, spec, text, weights, ownWeights, served, cacheBlocks };
}

/** Why a checkpoint cannot be served with other options than those that it is served with. */
export function servingProblems(
  config: ControllerConfig,
  { spec, ownWeights }: Pick<ClusterCheckpoint, 'spec' | 'ownWeights'>,
): readonly string[] {
  try {
    const weights = config.weights === 'auto' ? ownWeights : config.weights;
    sizeCache(config, spec, weights, longestSequence(config, spec, null), null);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** Tokens. Throws a ConfigError when more are asked for than the model was made for, and nobody insists. */
function longestSequence(config: ControllerConfig, { maxPosition }: ModelSpec, log: Logger | null): number {
  const { maxModelLen, allowLongMaxModelLen } = config;
  if (maxModelLen !== null && maxModelLen > maxPosition) {
    if (!allowLongMaxModelLen) {
      throw new ConfigError([
        `--max-model-len: expected at most ${maxPosition}, the positions that the model was made for, got ${maxModelLen}; ${insist}`,
      ]);
    }
    log?.warn(beyondPositions(maxModelLen, maxPosition));
  }
  return maxModelLen ?? maxPosition;
}

/** As asked for by --kv-memory, or enough for all sequences at full length and at least for one. */
function sizeCache(
  { kvMemory, blockSize, maxNumSeqs, maxModelLen }: ControllerConfig,
  spec: ModelSpec,
  weights: WeightsFormat,
  longest: number,
  log: Logger | null,
): CacheBlocks {
  const perSequence = Math.ceil(longest / blockSize);
  if (kvMemory === null) {
    return { wanted: maxNumSeqs * perSequence, least: maxModelLen === null ? 1 : perSequence };
  }
  const type = cacheType(weights);
  const room = { blockSize, stateSlots: stateSlotsFor(spec, maxNumSeqs) };
  const bytesFor = (kvBlocks: number): number => cacheBytes(spec, type, wholeModel(spec), { ...room, kvBlocks });
  const blocks = fittingBlocks(spec, type, room, kvMemory);
  const needed = maxModelLen === null ? 1 : perSequence;
  if (blocks < needed) {
    throw new ConfigError([
      `--kv-memory: ${needed * blockSize} tokens need ${bytesFor(needed)} bytes, got ${kvMemory}; raise it or lower --max-model-len`,
    ]);
  }
  const useful = maxNumSeqs * perSequence;
  if (blocks > useful) log?.warn(unusedMemory(kvMemory, bytesFor(useful), maxNumSeqs, longest));
  const wanted = Math.min(blocks, useful);
  return { wanted, least: wanted };
}
