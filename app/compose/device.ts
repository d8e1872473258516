/** Decides what computes: the CPU, or a GPU where the build and the machine have one. */
import type { Gpu, GpuLibrary, Native } from '../../native/native.ts';
import { readMachine } from '../../platform/process/machine.ts';
import type { WorkerStatus } from '../../proto/generated/conclave/v1/WorkerStatus.ts';
import { type WeightsFormat, weightsFormats } from '../../proto/weights-formats.ts';
import { ConfigError } from '../config/load-config.ts';

/** What computes, and what it has. */
export interface Device {
  /** As createRuntime takes it: "cpu", or the id of a GPU. */
  readonly id: string;
  /** Null: it is the CPU. */
  readonly gpu: Gpu | null;
  readonly weightsFormats: readonly WeightsFormat[];
  /** Bytes that weights and caches may still take. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** The device that was asked for cannot be used. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

export interface DeviceRequest {
  /** As --device says it. */
  readonly device: string;
  /** As --isa says it: one of the CPU's own is no matter for a GPU. */
  readonly isa: string;
}

/**
 * Opens what was asked for. `auto` falls back to the CPU, and hands `onFallback` the reason. Throws a DeviceError, or a ConfigError
 * for options that contradict each other.
 */
export function openDevice(native: Native, request: DeviceRequest, onFallback: (reason: string) => void): Device {
  return orCpu(request, onFallback, (device) => openGpu(native, device)) ?? cpu();
}

/**
 * The GPUs of what was asked for, one or more; null: the CPU computes. Takes no context of any. Otherwise as openDevice.
 */
export function findGpus(
  load: () => Native,
  request: DeviceRequest,
  onFallback: (reason: string) => void,
): readonly Gpu[] | null {
  return orCpu(request, onFallback, (device) => gpusOf(load(), device.split(':')[0] ?? ''));
}

/** What `open` gives of GPUs; null where the CPU is meant, or has to do. */
function orCpu<Found>(
  { device, isa }: DeviceRequest,
  onFallback: (reason: string) => void,
  open: (device: string) => Found,
): Found | null {
  if (device === 'cpu' || (device === 'auto' && isa !== 'auto')) return null;
  if (isa !== 'auto') {
    throw new ConfigError([`--isa: expected auto, as --device ${device} is not the CPU, got "${isa}"`]);
  }
  if (device !== 'auto') return open(device);
  try {
    return open('cuda');
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    onFallback(error.message);
    return null;
  }
}

export function cpu(): Device {
  const { freeBytes, totalBytes } = readMachine();
  return { id: 'cpu', gpu: null, weightsFormats, freeBytes, totalBytes };
}

/** Such as "cuda:0, NVIDIA H200"; "the CPU". */
export function deviceText({ id, gpu }: Pick<Device, 'id' | 'gpu'>): string {
  return gpu === null ? 'the CPU' : `${id}, ${gpu.name}`;
}

/** As a status of workers has it. */
export function deviceStatus({ id, gpu }: Device): Pick<WorkerStatus, 'device' | 'gpu'> {
  if (gpu === null) return { device: id };
  const { name, totalBytes, computeCapability } = gpu;
  return { device: id, gpu: { name, memoryBytes: totalBytes, computeCapability } };
}

/** `name`: a library, for its first GPU, or the id of a GPU. */
function openGpu(native: Native, name: string): Device {
  const [library = '', number] = name.split(':');
  const gpus = gpusOf(native, library);
  const gpu = number === undefined ? gpus[0] : gpus.find(({ id }) => id === name);
  if (gpu === undefined)
    throw new DeviceError(`no device ${name}`, `There is: ${gpus.map(({ id }) => id).join(', ')}.`);
  return explained(library, () => {
    const runtime = native.createRuntime({ threads: 1, isa: null, device: gpu.id });
    const { weightsFormats: formats } = runtime;
    runtime.close();
    const { totalBytes } = gpu;
    return { id: gpu.id, gpu, weightsFormats: formats, freeBytes: native.gpuFreeBytes(gpu.id), totalBytes };
  });
}

function gpusOf(native: Native, library: string): readonly Gpu[] {
  return explained(library, () => native.gpus(library as GpuLibrary));
}

/** Native errors with what to do about them. */
function explained<Value>(library: string, body: () => Value): Value {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    throw new DeviceError(`${library}: ${error.message}`, remedyFor(library, error.message));
  }
}

function remedyFor(library: string, message: string): string {
  if (library === 'cuda-emulated') return 'It is for tests: npm run test:native builds it.';
  if (/is not built|build it again/.test(message)) return 'Build it with: npm run build:cuda; or give --device cpu.';
  return 'docs/gpu.md says what helps; --device cpu computes on the CPU.';
}
