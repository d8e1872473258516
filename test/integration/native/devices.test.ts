import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadNative } from '../../../native/load.ts';
import { packageRoot } from '../../../proto/messages.ts';

const native = loadNative();
const built = existsSync(join(packageRoot, 'native/build/conclave_cuda.so'));
const gpus = found();

function found(): number {
  try {
    return native.gpus('cuda').length;
  } catch {
    return 0;
  }
}

test.each(['gpu', 'cuda:', 'cuda0', 'cuda:-1', 'cuda:1x', 'cuda:0:1', 'CPU', 'rocm:0'])(
  'device %s is refused',
  (device) => {
    expect(() => native.createRuntime({ threads: 1, isa: null, device })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(`got "${device}"`) }),
    );
  },
);

test('an instruction set of the CPU is refused for another device', () => {
  expect(() => native.createRuntime({ threads: 1, isa: 'portable', device: 'cuda:0' })).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('options.isa') }),
  );
});

test.each([undefined, null, 'cpu'])('device %s is the CPU, which keeps every format', (device) => {
  const runtime = native.createRuntime({ threads: 1, isa: null, ...(device !== undefined && { device }) });
  expect(runtime.isa).toBe(native.hardware().isa);
  expect(runtime.weightsFormats).toEqual(native.hardware().weightsFormats);
  runtime.close();
});

const emulated = existsSync(join(packageRoot, 'native/build/conclave_cuda_emulated.so'));
describe.skipIf(!emulated)(`the emulated GPU${emulated ? '' : ' (npm run test:native builds it)'}`, () => {
  test('is a device like any other', () => {
    const [gpu, ...others] = native.gpus('cuda-emulated');
    expect(others).toEqual([]);
    expect(gpu).toMatchObject({ id: 'cuda-emulated:0', computeCapability: '8.0' });
    for (const device of ['cuda-emulated', 'cuda-emulated:0']) {
      const runtime = native.createRuntime({ threads: 1, isa: null, device });
      expect(runtime.weightsFormats).toContain('bf16');
      runtime.close();
    }
    expect(native.gpuFreeBytes('cuda-emulated:0')).toBeLessThanOrEqual(gpu?.totalBytes ?? 0);
  });

  test('is one alone', () => {
    expect(() => native.createRuntime({ threads: 1, isa: null, device: 'cuda-emulated:1' })).toThrow(
      expect.objectContaining({
        code: 'UNSUPPORTED',
        message: 'no device cuda-emulated:1; there is: cuda-emulated:0',
      }),
    );
  });
});

test('an unknown library is refused', () => {
  expect(() => native.gpus('metal' as never)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
});

describe.skipIf(built)(`without conclave_cuda.so${built ? ' (it is built)' : ''}`, () => {
  test('GPUs are not to be had, and the missing file is named', () => {
    const missing = expect.objectContaining({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/conclave_cuda\.so is not built$/),
    });
    expect(() => native.gpus('cuda')).toThrow(missing);
    expect(() => native.createRuntime({ threads: 1, isa: null, device: 'cuda:0' })).toThrow(missing);
  });
});

describe.skipIf(!built || gpus > 0)(
  `with conclave_cuda.so and no driver${built ? (gpus > 0 ? ' (there is a GPU)' : '') : ' (npm run build:cuda builds it)'}`,
  () => {
    test('there is no device, and the reason is that of the driver', () => {
      const none = expect.objectContaining({ code: 'UNSUPPORTED', message: expect.stringMatching(/^no device: /) });
      expect(() => native.gpus('cuda')).toThrow(none);
      expect(() => native.gpuFreeBytes('cuda:0')).toThrow(none);
      expect(() => native.createRuntime({ threads: 1, isa: null, device: 'cuda:0' })).toThrow(none);
    });
  },
);
