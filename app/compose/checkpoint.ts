import type { ServedModel } from '../../controller/gateway/inference.ts';
import { type CheckpointReport, openCheckpoint } from '../../controller/gateway/open-checkpoint.ts';
import { ownFormat } from '../../controller/model/own-format.ts';
import type { TextModel } from '../../controller/text/text-model.ts';
import { readMachine } from '../../platform/process/machine.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { ServeConfig } from '../config/serve-config.ts';
import { type MemoryPlan, planMemory } from './memory-plan.ts';

/** A checkpoint that has been read and found to fit, and how it will be served. Nothing is loaded yet. */
export interface PreparedCheckpoint {
  readonly directory: string;
  readonly spec: ModelSpec;
  readonly report: CheckpointReport;
  readonly text: TextModel;
  readonly weights: WeightsFormat;
  readonly threads: number;
  readonly memory: MemoryPlan;
  readonly served: ServedModel;
}

/** Opens the checkpoint and plans its memory. Throws a ModelError or a MemoryError. */
export async function prepareCheckpoint(config: ServeConfig): Promise<PreparedCheckpoint> {
  const { directory, spec, report, text, names } = await openCheckpoint(config.model, config.servedModelName, config);
  const weights = config.weights === 'auto' ? ownFormat(report) : config.weights;
  const machine = readMachine();
  const threads = config.threads ?? machine.cores;
  let memory: MemoryPlan;
  try {
    memory = planMemory({
      spec,
      weights,
      freeBytes: machine.freeBytes,
      totalBytes: machine.totalBytes,
      cores: threads,
      kvMemory: config.kvMemory,
      blockSize: config.blockSize,
      maxModelLen: config.maxModelLen,
      allowLong: config.allowLongMaxModelLen,
      maxSequences: config.maxNumSeqs,
    });
  } catch (error) {
    await text.close();
    throw error;
  }
  const served = {
    names,
    maxModelLen: memory.cache.maxModelLen,
    vocabSize: spec.vocabSize,
    eosTokenIds: spec.eosTokenIds,
    parameters: report.total.parameters,
    activeParameters: report.activeParameters,
    digest: spec.digest,
    created: Math.floor(Date.now() / 1_000),
  };
  return { directory, spec, report, text, weights, threads, memory, served };
}
