import type { ServedModel } from '../../controller/gateway/inference.ts';
import { type CheckpointReport, openCheckpoint } from '../../controller/gateway/open-checkpoint.ts';
import { ownFormat } from '../../controller/model/own-format.ts';
import type { TextModel } from '../../controller/text/text-model.ts';
import { readMachine } from '../../platform/process/machine.ts';
import type { ModelSpec } from '../../proto/messages.ts';
import type { WeightsFormat } from '../../proto/weights-formats.ts';
import type { ServeConfig } from '../config/serve-config.ts';
import { cpu, type Device, deviceText } from './device.ts';
import { MemoryError, type MemoryPlan, planMemory } from './memory-plan.ts';

/** A checkpoint that has been read and found to fit, and how it will be served. Nothing is loaded yet. */
export interface PreparedCheckpoint {
  readonly directory: string;
  readonly spec: ModelSpec;
  readonly report: CheckpointReport;
  readonly text: TextModel;
  readonly weights: WeightsFormat;
  readonly threads: number;
  readonly memory: MemoryPlan;
  /** What will compute. */
  readonly device: Device;
  readonly served: ServedModel;
}

/** Share of what is free on a GPU that weights and caches may take: steps need some too. */
const GPU_SHARE = 0.9;

/**
 * Opens the checkpoint and plans its memory on `wanted`; where that was not asked for by name and does not do, on the CPU.
 * Throws a ModelError or a MemoryError.
 */
export async function prepareCheckpoint(
  config: ServeConfig,
  wanted: Device,
  onFallback: (reason: string) => void,
): Promise<PreparedCheckpoint> {
  const { directory, spec, report, text, names } = await openCheckpoint(config.model, config.servedModelName, config);
  const weights = config.weights === 'auto' ? ownFormat(report) : config.weights;
  const threads = config.threads ?? readMachine().cores;
  const planOn = (device: Device) => ({ device, memory: planOnDevice(config, { spec, weights, threads, device }) });
  let planned: ReturnType<typeof planOn>;
  try {
    try {
      planned = planOn(wanted);
    } catch (error) {
      if (!(error instanceof MemoryError) || wanted.gpu === null || config.device !== 'auto') throw error;
      onFallback(error.message);
      planned = planOn(cpu());
    }
  } catch (error) {
    await text.close();
    throw error;
  }
  const served = {
    names,
    maxModelLen: planned.memory.cache.maxModelLen,
    vocabSize: spec.vocabSize,
    eosTokenIds: spec.eosTokenIds,
    parameters: report.total.parameters,
    activeParameters: report.activeParameters,
    digest: spec.digest,
    created: Math.floor(Date.now() / 1_000),
  };
  return { directory, spec, report, text, weights, threads, ...planned, served };
}

function planOnDevice(
  config: ServeConfig,
  { spec, weights, threads, device }: Pick<PreparedCheckpoint, 'spec' | 'weights' | 'threads' | 'device'>,
): MemoryPlan {
  if (!device.weightsFormats.includes(weights)) {
    throw new MemoryError(
      `--weights ${weights}: ${deviceText(device)}, keeps weights as ${device.weightsFormats.join(' or ')}`,
      'Give one of those, or --device cpu.',
    );
  }
  return planMemory({
    spec,
    weights,
    freeBytes: device.gpu === null ? device.freeBytes : Math.floor(device.freeBytes * GPU_SHARE),
    totalBytes: device.totalBytes,
    cores: threads,
    device: device.id,
    kvMemory: config.kvMemory,
    blockSize: config.blockSize,
    maxModelLen: config.maxModelLen,
    allowLong: config.allowLongMaxModelLen,
    maxSequences: config.maxNumSeqs,
  });
}
