import { expect, it } from 'vitest';
import { type DeviceReport, devicesText } from '../../../../app/cli/inspect-devices.ts';

const cpu: DeviceReport['cpu'] = {
  ...{ id: 'cpu', name: 'AMD EPYC', isa: 'avx512', extensions: ['avx512_vnni'], cores: 8 },
  ...{ totalBytes: 2 ** 36, freeBytes: 2 ** 35, weightsFormats: ['f32', 'bf16', 'q8', 'q4'] },
};
const gpu = {
  ...{ name: 'NVIDIA H200', computeCapability: '9.0', totalBytes: 2 ** 37, multiprocessors: 132 },
  ...{ sharedBytesPerBlock: 232_448, freeBytes: 2 ** 36, weightsFormats: ['f32' as const, 'bf16' as const] },
};

it('devices are lines of a table, and those that cannot be used say why', () => {
  const second = { ...gpu, id: 'cuda:1', freeBytes: null, weightsFormats: [], error: 'cuda: uncorrectable ECC error' };
  const report = { cpu, gpus: [{ ...gpu, id: 'cuda:0', error: null }, second], unavailable: null };
  expect(devicesText(report)).toBe(
    `${[
      'DEVICE  NAME         COMPUTE   MEMORY    FREE  WEIGHTS',
      'cpu     AMD EPYC     avx512    64 GiB  32 GiB  f32 bf16 q8 q4',
      'cuda:0  NVIDIA H200  9.0      128 GiB  64 GiB  f32 bf16',
      'cuda:1  NVIDIA H200  9.0      128 GiB',
      'cuda:1: cuda: uncorrectable ECC error',
    ].join('\n')}\n`,
  );
});

it('a machine without a GPU says why, and what to do', () => {
  const unavailable = { device: 'cuda', reason: 'cuda: no device: no driver', remedy: 'Give --device cpu.' };
  expect(devicesText({ cpu, gpus: [], unavailable }).split('\n').slice(2)).toEqual([
    'cuda: no device: no driver',
    '  Give --device cpu.',
    '',
  ]);
});
