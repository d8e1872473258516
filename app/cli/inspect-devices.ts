import { cpus } from 'node:os';
import { loadNative } from '../../native/load.ts';
import type { Native } from '../../native/native.ts';
import { readMachine } from '../../platform/process/machine.ts';
import { formatBytes } from '../../platform/process/quantities.ts';
import { weightsFormats } from '../../proto/weights-formats.ts';
import { DeviceError, findGpus, openDevice } from '../compose/device.ts';
import { table } from './operate/table.ts';

/** What computes on this machine, and why GPUs do not where they do not. */
export function describeDevices(native: Native) {
  const { freeBytes, totalBytes, cores } = readMachine();
  const { isa, extensions } = native.hardware();
  const cpu = {
    ...{ id: 'cpu', name: cpus()[0]?.model ?? '', isa, extensions: [...extensions], cores },
    ...{ totalBytes, freeBytes, weightsFormats: [...weightsFormats] },
  };
  try {
    const gpus =
      findGpus(
        () => native,
        { device: 'cuda', isa: 'auto' },
        () => undefined,
      ) ?? [];
    return { cpu, gpus: gpus.map((gpu) => ({ ...gpu, ...stateOf(native, gpu.id) })), unavailable: null };
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return { cpu, gpus: [], unavailable: { device: 'cuda', reason: error.message, remedy: error.remedy } };
  }
}

export type DeviceReport = ReturnType<typeof describeDevices>;

/** What the GPU itself says, or why it cannot be used. */
function stateOf(native: Native, id: string) {
  try {
    const { freeBytes, weightsFormats: formats } = openDevice(native, { device: id, isa: 'auto' }, () => undefined);
    return { freeBytes, weightsFormats: [...formats], error: null };
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return { freeBytes: null, weightsFormats: [], error: error.message };
  }
}

/** The report for people. */
export function devicesText({ cpu, gpus, unavailable }: DeviceReport): string {
  const rows = [
    [cpu.id, cpu.name, cpu.isa, formatBytes(cpu.totalBytes), formatBytes(cpu.freeBytes), cpu.weightsFormats.join(' ')],
    ...gpus.map((gpu) => [
      ...[gpu.id, gpu.name, gpu.computeCapability, formatBytes(gpu.totalBytes)],
      ...[gpu.freeBytes === null ? '' : formatBytes(gpu.freeBytes), gpu.weightsFormats.join(' ')],
    ]),
  ];
  const right = ['MEMORY', 'FREE'];
  const lines = [
    table(['DEVICE', 'NAME', 'COMPUTE', 'MEMORY', 'FREE', 'WEIGHTS'], rows, { right }),
    ...gpus.flatMap(({ id, error }) => (error === null ? [] : [`${id}: ${error}`])),
    ...(unavailable === null ? [] : [unavailable.reason, `  ${unavailable.remedy}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** `conclave inspect --devices`. */
export function inspectDevices(output: 'text' | 'json'): void {
  const report = describeDevices(loadNative());
  process.stdout.write(output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : devicesText(report));
}
