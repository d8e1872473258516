import { describe, expect, it } from 'vitest';
import { DeviceError, findGpus, openDevice } from '../../../../app/compose/device.ts';
import type { Gpu, Native, Runtime } from '../../../../native/native.ts';

function gpu(index: number): Gpu {
  return {
    ...{ id: `cuda:${index}`, name: 'NVIDIA H200', computeCapability: '9.0', totalBytes: 2 ** 37 },
    ...{ multiprocessors: 132, sharedBytesPerBlock: 232_448 },
  };
}

function unsupported(message: string): Error {
  return Object.assign(new Error(message), { code: 'UNSUPPORTED' });
}

/** A machine with two GPUs, or with what a test says. */
function native(over: Partial<Native> = {}): Native {
  const runtime = { weightsFormats: ['f32', 'bf16'], close: () => undefined } as unknown as Runtime;
  const whole = {
    gpus: () => [gpu(0), gpu(1)],
    gpuFreeBytes: (id: string) => (id === 'cuda:1' ? 2 ** 36 : 2 ** 35),
    createRuntime: () => runtime,
    ...over,
  };
  return whole as unknown as Native;
}

const noDriver = native({
  gpus: () => {
    throw unsupported('no device: there is no NVIDIA driver on this machine');
  },
});

function open(machine: Native, device: string, isa = 'auto') {
  const reasons: string[] = [];
  const opened = openDevice(machine, { device, isa }, (reason) => reasons.push(reason));
  return { id: opened.id, opened, reasons };
}

describe('auto', () => {
  it('takes the first GPU, with its memory and its formats', () => {
    const { opened, reasons } = open(native(), 'auto');
    expect(opened).toMatchObject({ id: 'cuda:0', freeBytes: 2 ** 35, totalBytes: 2 ** 37 });
    expect(opened.weightsFormats).toEqual(['f32', 'bf16']);
    expect(reasons).toEqual([]);
  });

  it('takes the CPU where there is no GPU, and says why', () => {
    expect(open(noDriver, 'auto')).toMatchObject({
      id: 'cpu',
      opened: { gpu: null },
      reasons: ['cuda: no device: there is no NVIDIA driver on this machine'],
    });
  });

  it('takes the CPU where the GPU cannot be opened', () => {
    const broken = native({
      createRuntime: () => {
        throw unsupported('device 0: uncorrectable ECC error');
      },
    });
    expect(open(broken, 'auto')).toMatchObject({ id: 'cpu', reasons: ['cuda: device 0: uncorrectable ECC error'] });
  });

  it('takes the CPU without a word where --isa names an instruction set of one', () => {
    expect(open(native(), 'auto', 'avx2')).toMatchObject({ id: 'cpu', reasons: [] });
  });
});

describe('a device that is named', () => {
  it.each([
    ['cpu', 'cpu'],
    ['cuda', 'cuda:0'],
    ['cuda:1', 'cuda:1'],
  ])('%s is %s', (device, id) => {
    expect(open(native(), device).id).toBe(id);
  });

  it('is refused where there is none of that number, and those that there are are named', () => {
    expect(() => open(native(), 'cuda:7')).toThrow('no device cuda:7');
    expect(remedyOf(native(), 'cuda:7')).toBe('There is: cuda:0, cuda:1.');
  });

  it('does not become the CPU', () => {
    expect(() => open(noDriver, 'cuda')).toThrow('cuda: no device: there is no NVIDIA driver on this machine');
    expect(remedyOf(noDriver, 'cuda')).toContain('--device cpu');
  });

  it('says how to build what is not built', () => {
    const unbuilt = native({
      gpus: () => {
        throw unsupported('/app/native/build/conclave_cuda.so is not built');
      },
    });
    expect(remedyOf(unbuilt, 'cuda')).toContain('npm run build:cuda');
  });

  it('is refused beside an instruction set of the CPU', () => {
    expect(() => open(native(), 'cuda', 'avx2')).toThrow(/--isa: expected auto, as --device cuda is not the CPU/);
  });
});

it('GPUs are found without a context of any', () => {
  const machine = native({
    createRuntime: () => {
      throw new Error('a context');
    },
    gpuFreeBytes: () => {
      throw new Error('a context');
    },
  });
  const find = (device: string) =>
    findGpus(
      () => machine,
      { device, isa: 'auto' },
      () => undefined,
    );
  expect(find('auto')?.map(({ id }) => id)).toEqual(['cuda:0', 'cuda:1']);
  expect(find('cpu')).toBeNull();
});

function remedyOf(machine: Native, device: string): string {
  try {
    open(machine, device);
  } catch (error) {
    if (error instanceof DeviceError) return error.remedy;
    throw error;
  }
  return '';
}
